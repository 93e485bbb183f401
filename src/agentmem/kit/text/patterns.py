r"""Patterns that people outside may write: a small part of regular expressions, matched in linear time.

A pattern is a row of characters, classes (``[A-Z]``, ``\d``, ``\w``, ``\s``, ``.``) and word borders (``\b``), each
perhaps with a count (``?``, ``{3}``, ``{2,5}``). A count takes as much as it can and gives nothing back, so that no
text makes the match try again: each place of a text is looked at for at most ``LONGEST_MATCH`` characters. There are
no groups, no alternatives and no open counts.
"""

from __future__ import annotations

import re
from typing import Final

LONGEST_PATTERN: Final = 200
LONGEST_MATCH: Final = 64
SHORTEST_MATCH: Final = 3
"""A pattern of less would find something in every text."""

_PART: Final = re.compile(
    r"(?P<border>\\b)"
    r"|(?P<one>\\[dws]|\\[^0-9A-Za-z\s]|\[\^?(?:\\[dws]|\\[^0-9A-Za-z\s]|[^\\\[\]])+\]|[^\\\[\](){}*+?|^$])"
    r"(?:(?P<maybe>\?)|\{(?P<least>[0-9]{1,3})(?P<to>,(?P<most>[0-9]{1,3}))?\})?"
)


def compile_pattern(written: str) -> re.Pattern[str]:
    """Compile a pattern; raises :class:`ValueError` that says what is wrong with it."""
    if len(written) > LONGEST_PATTERN:
        raise ValueError(f"has more than {LONGEST_PATTERN} characters")
    source, shortest, longest, at = "", 0, 0, 0
    while at < len(written):
        part = _PART.match(written, at)
        if part is None:
            raise ValueError(f"holds {written[at]!r} at character {at + 1}, which patterns have no use for")
        least, most = _count(part)
        source += part["border"] or f"{part['one']}{{{least},{most}}}+"
        shortest, longest, at = shortest + least, longest + most, part.end()
    if not SHORTEST_MATCH <= shortest <= longest <= LONGEST_MATCH:
        raise ValueError(f"must match {SHORTEST_MATCH} to {LONGEST_MATCH} characters, and matches {shortest}-{longest}")
    try:
        return re.compile(source)
    except re.error as error:
        raise ValueError(f"is not a pattern: {error.msg}") from None


def _count(part: re.Match[str]) -> tuple[int, int]:
    if part["border"]:
        return 0, 0
    if part["maybe"]:
        return 0, 1
    if part["least"] is None:
        return 1, 1
    least = int(part["least"])
    most = least if part["to"] is None else int(part["most"])
    if not 0 < most <= LONGEST_MATCH or least > most:
        raise ValueError(f"counts from {least} to {most}; a count is from 1 to {LONGEST_MATCH}")
    return least, most
