"""Time expressions: what "last Friday" or 上周五 means on the day it was said, as windows of whole days.

A grammar of its own, on compiled patterns: general date parsers cost milliseconds a sentence, this one microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Final, NamedTuple

from agentmem.kit.text import times_chinese, times_english
from agentmem.kit.text.calendar import Days

Resolver = Callable[[re.Match[str], date], Days | None]

_MOST_MENTIONS: Final = 16
_LONGEST: Final = 20_000  # characters that are looked through
# Cheap tests that let ordinary sentences pass by: nearly every time expression has one of these.
_MAYBE_ENGLISH: Final = re.compile(
    r"\d|day|night|week|month|year|tomorrow|ago|morning|evening|afternoon|decade|spring|summer|autumn|fall|winter|"
    r"january|february|march|april|\bmay\b|june|july|august|september|october|november|december|"
    r"\b(?:jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\b|"
    r"(?:last|next|this|past|coming) (?:mon|tue|wed|thu|fri|sat|sun)",
    re.IGNORECASE,
)
_MAYBE_CHINESE: Final = re.compile(r"[年月日号天周晚早]|星期|礼拜")
_WHEN: Final = re.compile(
    r"\bwhen\b|\b(?:what|which) (?:time|date|day|week|weekend|month|year|season)\b|\bhow (?:long|recently|soon) |"
    r"\b(?:cuándo|quand|wann|quando|wanneer|когда)\b|什么时候|何时|几号|几月|哪天|哪年|哪一[年天]|多久|いつ|언제",
    re.IGNORECASE,
)


class TimeMention(NamedTuple):
    """A stretch of days that a text names.

    ``first`` and ``last`` are proleptic ordinals (``date.toordinal``), both inside; ``start`` and ``end`` are the
    expression's offsets in the text; ``yearless`` says that the text named a day or month but no year, so that any
    year may be meant and the nearest one before the reference was taken.
    """

    first: int
    last: int
    start: int
    end: int
    yearless: bool


def find_times(text: str, reference: datetime) -> list[TimeMention]:
    """Resolve the time expressions of a text (English, Chinese, ISO dates) against the moment it was said.

    At most 16, in the order of the text; expressions that name no possible day are passed over. Linear in the text.
    """
    text = text[:_LONGEST]
    day = reference.date()
    found: list[TimeMention] = []
    if _MAYBE_ENGLISH.search(text):
        found += _resolve(times_english.PATTERN, times_english.resolve, text, day)
    if not text.isascii() and _MAYBE_CHINESE.search(text):
        found += _resolve(times_chinese.PATTERN, times_chinese.resolve, text, day)
        found.sort(key=lambda mention: mention.start)
    return found[:_MOST_MENTIONS]


def has_time_question(text: str) -> bool:
    """Whether a text asks for a time: "When did ...", "In which year ...", 什么时候."""
    return _WHEN.search(text) is not None


def _resolve(pattern: re.Pattern[str], resolve: Resolver, text: str, day: date) -> list[TimeMention]:
    found: list[TimeMention] = []
    for match in pattern.finditer(text):
        try:
            days = resolve(match, day)
        except (ValueError, OverflowError):  # 31 February, or a year outside the calendar
            continue
        if days is not None:
            found.append(TimeMention(days.first, days.last, match.start(), match.end(), days.yearless))
            if len(found) == _MOST_MENTIONS:
                break
    return found
