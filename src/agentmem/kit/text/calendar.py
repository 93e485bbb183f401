"""Stretches of days: months, seasons, years and weeks as first and last day."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final, NamedTuple

# The first month of each season of the northern half of the world, where most of the texts come from.
SEASONS: Final = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}


class Days(NamedTuple):
    """A stretch of days as proleptic ordinals, both ends inside."""

    first: int
    last: int
    yearless: bool = False


def one_day(day: date) -> Days:
    """Give a single day."""
    return Days(day.toordinal(), day.toordinal())


def shifted(day: date, days: int, *, margin: int = 0) -> Days:
    """Give the day that lies so many days after ``day``, with a margin on both sides."""
    middle = (day + timedelta(days=days)).toordinal()
    return Days(max(1, middle - margin), middle + margin)


def month(year: int, number: int) -> Days:
    """Give a month; numbers outside 1..12 count into the neighbouring years."""
    year, number = year + (number - 1) // 12, (number - 1) % 12 + 1
    after = date(year + number // 12, number % 12 + 1, 1)
    return Days(date(year, number, 1).toordinal(), after.toordinal() - 1)


def year(number: int) -> Days:
    """Give a year."""
    return Days(date(number, 1, 1).toordinal(), date(number, 12, 31).toordinal())


def season(number: int, name: str) -> Days:
    """Give a season of a year; winter is the one that starts in that year's December."""
    start = SEASONS[name]
    return Days(month(number, start).first, month(number, start + 2).last)


def week(day: date, offset: int) -> Days:
    """Give the week (Monday to Sunday) that lies so many weeks after the one of ``day``."""
    monday = day.toordinal() - day.weekday() + 7 * offset
    return Days(max(1, monday), max(1, monday) + 6)


def weekend(day: date, offset: int) -> Days:
    """Give Saturday and Sunday of a week counted from the one of ``day``."""
    found = week(day, offset)
    return Days(found.last - 1, found.last)


def nearest_before(day: date, number: int, of_month: int | None) -> Days:
    """Give the latest such month (or day of it) that has begun by ``day``, marked as without a year."""
    start = 1 if of_month is None else of_month
    chosen = day.year if (number, start) <= (day.month, day.day) else day.year - 1
    if of_month is None:
        found = month(chosen, number)
        return Days(found.first, found.last, yearless=True)
    while True:
        try:
            ordinal = date(chosen, number, of_month).toordinal()
        except ValueError:
            if (number, of_month) != (2, 29) or chosen < day.year - 8:
                raise
            chosen -= 1
            continue
        return Days(ordinal, ordinal, yearless=True)
