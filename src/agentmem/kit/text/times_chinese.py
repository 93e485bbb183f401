"""Chinese time expressions."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from agentmem.kit.text import calendar
from agentmem.kit.text.calendar import Days

_DIGITS: Final = {letter: number for number, letter in enumerate("零一二三四五六七八九")} | {
    "〇": 0,
    "两": 2,
    "几": 3,
    "半": 0,
}
_FIGURE: Final = r"[0-9０-９零〇一二三四五六七八九十两几]"
_MONTH_AND_DAY: Final = rf"{_FIGURE}{{1,3}}月份?的?(?:{_FIGURE}{{1,3}}[日号])?"
_RELATIVE_DAYS: Final = {
    "大前天": -3, "前天": -2, "昨天": -1, "昨晚": -1, "昨日": -1, "今天": 0, "今日": 0, "今晚": 0, "今早": 0,
    "明天": 1, "明日": 1, "明晚": 1, "后天": 2, "大后天": 3,
}  # fmt: skip
_RELATIVE_YEARS: Final = {"大前年": -3, "前年": -2, "去年": -1, "今年": 0, "明年": 1, "后年": 2}
_SEASONS: Final = {"春": "spring", "夏": "summer", "秋": "autumn", "冬": "winter"}
_WEEKDAYS: Final = "一二三四五六日"

PATTERN: Final = re.compile(
    "|".join(
        (
            rf"(?P<full>(?:{_FIGURE}{{4}}年|大?前年|[去今明后]年)的?(?:{_MONTH_AND_DAY}|[春夏秋冬][天季]?)?)",
            rf"(?P<monthday>{_FIGURE}{{1,3}}月{_FIGURE}{{1,3}}[日号])",
            rf"(?P<counted>{_FIGURE}{{1,3}}(?:天|日|个?星期|个?礼拜|周|个月|年)(?:以|之)?[前后])",
            r"(?P<week>(?:上上|下下|上|下|这|本)个?(?:周|星期|礼拜)(?:[一二三四五六日天末])?)",
            r"(?P<month>(?:上|下|这)个月|本月)",
            rf"(?P<bare>{_FIGURE}{{1,2}}月份?)",
            r"(?P<day>大前天|前天|昨[天晚日]|今[天日晚早]|明[天日晚]|大?后天)",
            r"(?P<weekday>(?:周|星期|礼拜)[一二三四五六日天末])",
        )
    )
)
_YEAR_PART: Final = re.compile(rf"({_FIGURE}+)年")
_MONTH_PART: Final = re.compile(rf"({_FIGURE}+)月")
_DAY_PART: Final = re.compile(rf"({_FIGURE}+)[日号]")


def resolve(match: re.Match[str], day: date) -> Days | None:
    """Give the days that one match of :data:`PATTERN` means on ``day``; raises ``ValueError`` for impossible dates."""
    text = match[0]
    match match.lastgroup:
        case "full":
            return _full(text, day)
        case "monthday":
            return calendar.nearest_before(day, _read(_MONTH_PART, text), _read(_DAY_PART, text))
        case "bare":
            return calendar.nearest_before(day, _read(_MONTH_PART, text), None)
        case "counted":
            return _counted(text, day)
        case "week" | "weekday":
            return _week(text, day)
        case "month":
            offset = -1 if text[0] == "上" else 1 if text[0] == "下" else 0
            return calendar.month(day.year, day.month + offset)
        case _:
            return calendar.shifted(day, _RELATIVE_DAYS[text])


def _full(text: str, day: date) -> Days:
    relative = next((offset for name, offset in _RELATIVE_YEARS.items() if text.startswith(name)), None)
    number = day.year + relative if relative is not None else _read(_YEAR_PART, text, digits=True)
    if _MONTH_PART.search(text):
        month = _read(_MONTH_PART, text)
        if not 1 <= month <= 12:
            raise ValueError(month)
        if _DAY_PART.search(text):
            return calendar.one_day(date(number, month, _read(_DAY_PART, text)))
        return calendar.month(number, month)
    name = next((name for letter, name in _SEASONS.items() if letter in text), None)
    return calendar.year(number) if name is None else calendar.season(number, name)


def _counted(text: str, day: date) -> Days:
    count = _number(re.match(rf"{_FIGURE}+", text)[0])  # type: ignore[index]  # the pattern starts with a figure
    sign = -1 if text[-1] == "前" else 1
    if "年" in text:
        return calendar.year(day.year + sign * count)
    if "月" in text:
        return calendar.shifted(day, sign * 30 * count, margin=15)
    if "周" in text or "星期" in text or "礼拜" in text:
        return calendar.shifted(day, sign * 7 * count, margin=3)
    return calendar.shifted(day, sign * count)


def _week(text: str, day: date) -> Days:
    offset = {"上": -1, "下": 1}.get(text[0], 0) * (2 if text[:2] in {"上上", "下下"} else 1)
    last = text[-1].replace("天", "日")
    if last == "末":
        return calendar.weekend(day, offset)
    found = calendar.week(day, offset)
    if last not in _WEEKDAYS or text[-2:] in {"周", "期"}:
        return found
    target = found.first + _WEEKDAYS.index(last)
    if text[0] in "周星礼" and target > day.toordinal():
        target -= 7  # a bare weekday tells of the past more often than not
    return Days(target, target)


def _read(pattern: re.Pattern[str], text: str, *, digits: bool = False) -> int:
    found = pattern.search(text)
    if found is None:
        raise ValueError(text)
    return _number(found[1], digits=digits)


def _number(text: str, *, digits: bool = False) -> int:
    """Read a number below 100 in Chinese or figures, or a year digit by digit."""
    if text.isdecimal():
        return int(text)
    if digits or "十" not in text:
        return int("".join(str(_DIGITS.get(letter, letter)) for letter in text))
    tens, _, ones = text.partition("十")
    return (_number(tens) if tens else 1) * 10 + (_number(ones) if ones else 0)
