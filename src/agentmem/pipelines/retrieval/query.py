"""Reading a query: its terms, the times it names, and what kind of answer it asks for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agentmem.kit.text.analyse import Token, analyse
from agentmem.kit.text.times import TimeMention, find_times, has_time_question

_LAST_LATIN: Final = "\u024f"


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedQuery:
    """A query as the ranking sees it.

    ``terms`` are the content terms with their counts, in the order of the text; ``windows`` are the stretches of days
    that the query names; ``asks_when`` says that it asks for a time, ``is_latin`` that most of its letters are Latin.
    """

    text: str
    tokens: tuple[Token, ...]
    terms: dict[str, int]
    windows: tuple[TimeMention, ...]
    asks_when: bool
    is_latin: bool


def parse_query(text: str, now: datetime) -> ParsedQuery:
    """Analyse a query; relative times in it count from ``now``."""
    tokens = tuple(analyse(text))
    terms: dict[str, int] = {}
    for token in tokens:
        if not token.stop:
            terms[token.term] = terms.get(token.term, 0) + 1
    return ParsedQuery(
        text=text,
        tokens=tokens,
        terms=terms,
        windows=tuple(find_times(text, now)),
        asks_when=has_time_question(text),
        is_latin=_is_latin(text),
    )


def _is_latin(text: str) -> bool:
    letters = [letter for letter in text if letter.isalpha()]
    return 2 * sum(letter <= _LAST_LATIN for letter in letters) >= len(letters)
