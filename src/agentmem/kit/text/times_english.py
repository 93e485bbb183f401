"""English time expressions, and dates in figures."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from agentmem.kit.text import calendar
from agentmem.kit.text.calendar import Days

_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        "january jan|february feb|march mar|april apr|may|june jun|july jul|august aug|september sep sept|october oct|"
        "november nov|december dec".split("|"),
        start=1,
    )
    for name in names.split()
}
# The first two letters tell the days apart, whatever is left out or mistyped after them.
_WEEKDAYS: Final = ("mo", "tu", "we", "th", "fr", "sa", "su")
# Letters that equal a plain one but for case: the pattern finds them, and the tables below do not hold them.
_PLAIN: Final = str.maketrans("\u0131\u0130\u017f\u212a", "iisk")
_NUMBERS: Final = {
    **dict(zip("one two three four five six seven eight nine ten eleven twelve".split(), range(1, 13), strict=True)),
    **dict.fromkeys(("a", "an", "the"), 1),
    "couple": 2,
    "few": 3,
    "several": 4,
}
_UNIT_DAYS: Final = {"day": 1, "week": 7, "month": 30, "year": 365, "decade": 3650}
# How far "three weeks ago" may be off, by its unit.
_UNIT_MARGIN: Final = {"day": 0, "week": 3, "month": 15, "year": 183, "decade": 1825}

_MONTH: Final = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)"
)
_DAY_NAME: Final = r"(?:mon|tues?|wednes|wed|thurs?|thu|fri|satur|sat|sun)(?:day)?s?"
_COUNT: Final = (
    r"(?:\d{1,3}|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|"
    r"(?:a )?few|(?:a )?couple(?: of)?|several)"
)
_SEASON: Final = r"(?:spring|summer|autumn|fall|winter)"
_WITHIN: Final = "in|since|until|during|by|of"
_WORDS_FOR_DAYS: Final = (
    "the day before yesterday|the day after tomorrow|yesterday|today|tonight|tomorrow|last night|"
    "this (?:morning|afternoon|evening)|the other day"
)
_YEAR: Final = r"(?:19|20)\d\d"
_UNIT: Final = r"(?:day|week|month|year|decade)"

PATTERN: Final = re.compile(
    "|".join(
        (
            r"(?P<iso>\b\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?![\d-]))",
            r"(?P<isomonth>\b\d{4}-(?:0[1-9]|1[0-2])(?![\d-]))",
            r"(?P<slashes>\b\d{1,2}/\d{1,2}/(?:\d{4}|\d{2})\b)",
            rf"(?P<daymonth>\b\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH}\b\.?(?:,? {_YEAR}\b)?)",
            rf"(?P<monthday>\b{_MONTH}\.? (?:the )?\d{{1,2}}(?:st|nd|rd|th)?\b(?:,? {_YEAR}\b)?)",
            rf"(?P<monthyear>\b{_MONTH}\.?,?(?: of)? {_YEAR}\b)",
            rf"(?P<season>\b(?:(?:last|this|next|past) )?{_SEASON}(?:,?(?: of)? {_YEAR})?\b)",
            rf"(?P<relmonth>\b(?:{_WITHIN}|last|next|this|early|late|mid)[ -]{_MONTH}\b(?!,?(?: of)? \d))",
            rf"(?P<ago>\b{_COUNT} {_UNIT}s? (?:ago|back|earlier|before)\b)",
            rf"(?P<ahead>\bin {_COUNT} {_UNIT}s?(?:'s? time)?\b|\b{_COUNT} {_UNIT}s? from now\b)",
            rf"(?P<span>\b(?:last|past|previous|next|coming) (?:{_COUNT}) {_UNIT}s\b)",
            rf"(?P<relday>\b(?:last|next|this|this past|past|coming) {_DAY_NAME}\b)",
            r"(?P<relunit>\b(?:last|next|this|this past|past|previous|coming) (?:week(?:end)?|month|year)\b)",
            rf"(?P<word>\b(?:{_WORDS_FOR_DAYS})\b)",
            r"(?P<weekday>\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b)",
            rf"(?P<year>\b(?:{_WITHIN}|year|around|back in|before|after|from) {_YEAR}\b|\b20[012]\d\b)",
        )
    ),
    re.IGNORECASE,
)
_FIGURES: Final = re.compile(r"\d+")
_WORDS: Final = re.compile(r"[a-z]+")
_FUTURE: Final = frozenset(("next", "coming"))


def resolve(match: re.Match[str], day: date) -> Days | None:
    """Give the days that one match of :data:`PATTERN` means on ``day``; raises ``ValueError`` for impossible dates."""
    text = match[0].translate(_PLAIN).lower()
    figures = [int(figure) for figure in _FIGURES.findall(text)]
    words = _WORDS.findall(text)
    match match.lastgroup:
        case "iso" | "isomonth" | "slashes" | "daymonth" | "monthday" | "monthyear" | "relmonth":
            return _dated(match.lastgroup, figures, words, day)
        case "year":
            return calendar.year(figures[0])
        case "season":
            return _season(figures, words, day)
        case "ago" | "ahead" | "span":
            return _counted(match.lastgroup, figures, words, day)
        case "relunit":
            return _unit(words, day)
        case "relday" | "weekday":
            return _weekday(words, day)
        case _:
            return _word(words, day)


def _dated(kind: str, figures: list[int], words: list[str], day: date) -> Days | None:
    if kind == "iso":
        return calendar.one_day(date(figures[0], figures[1], figures[2]))
    if kind == "isomonth":
        return calendar.month(figures[0], figures[1])
    if kind == "slashes":
        first, second, number = figures
        number += 2000 if number < 100 else 0
        return calendar.one_day(date(number, second, first) if first > 12 else date(number, first, second))
    number = next(_MONTHS[word] for word in words if word in _MONTHS)
    if kind == "monthyear":
        return calendar.month(figures[0], number)
    if kind == "relmonth":
        if "next" in words:
            return calendar.month(day.year + (number <= day.month), number)
        found = calendar.nearest_before(day, number, None)
        return found if "last" not in words else Days(found.first, found.last)
    if len(figures) == 2:
        return calendar.one_day(date(figures[1], number, figures[0]))
    return calendar.nearest_before(day, number, figures[0])


def _season(figures: list[int], words: list[str], day: date) -> Days | None:
    name = next(word for word in words if word in calendar.SEASONS)
    if figures:
        return calendar.season(figures[0], name)
    if words[0] not in {"last", "this", "next", "past"}:
        return None  # "fall" and "spring" are verbs too
    if words[0] in {"last", "past"}:
        this_year = calendar.season(day.year, name)
        return this_year if this_year.last < day.toordinal() else calendar.season(day.year - 1, name)
    this_year = calendar.season(day.year, name)
    if words[0] == "next" and this_year.first <= day.toordinal():
        return calendar.season(day.year + 1, name)
    return this_year


def _counted(kind: str, figures: list[int], words: list[str], day: date) -> Days:
    unit = next(word.rstrip("s") for word in words if word.rstrip("s") in _UNIT_DAYS)
    wanted = [word for word in words if word in _NUMBERS]
    # "a few weeks": the last number word is the one that counts.
    count = figures[0] if figures else _NUMBERS[wanted[-1]] if wanted else 1
    days = count * _UNIT_DAYS[unit]
    if kind == "span":
        today = day.toordinal()
        ahead = words[0] in _FUTURE
        return Days(today, today + days) if ahead else Days(max(1, today - days), today)
    if unit == "year":
        return calendar.year(day.year - count if kind == "ago" else day.year + count)
    vague = _UNIT_MARGIN[unit] + (days // 2 if not figures and wanted[-1:] in (["few"], ["several"]) else 0)
    return calendar.shifted(day, -days if kind == "ago" else days, margin=vague)


def _unit(words: list[str], day: date) -> Days:
    offset = 1 if words[0] in _FUTURE else 0 if words[0] == "this" and "past" not in words else -1
    match words[-1]:
        case "week":
            return calendar.week(day, offset)
        case "weekend":
            return calendar.weekend(day, offset)
        case "month":
            return calendar.month(day.year, day.month + offset)
        case _:
            return calendar.year(day.year + offset)


def _weekday(words: list[str], day: date) -> Days:
    target = _WEEKDAYS.index(words[-1][:2])
    if words[0] in _FUTURE or (words[0] == "this" and "past" not in words):
        return calendar.shifted(day, (target - day.weekday() - 1) % 7 + 1)
    return calendar.shifted(day, -((day.weekday() - target - 1) % 7 + 1))


def _word(words: list[str], day: date) -> Days:
    match words:
        case ["the", "day", "before", "yesterday"]:
            return calendar.shifted(day, -2)
        case ["the", "day", "after", "tomorrow"]:
            return calendar.shifted(day, 2)
        case ["yesterday"] | ["last", "night"]:
            return calendar.shifted(day, -1)
        case ["tomorrow"]:
            return calendar.shifted(day, 1)
        case ["the", "other", "day"]:
            return Days(max(1, day.toordinal() - 14), day.toordinal())
        case _:
            return calendar.one_day(day)
