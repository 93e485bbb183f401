"""Checks of the single values of a filter: each is turned into its field's type, or refused with its place named."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Final, TypeAlias
from uuid import UUID

from agentmem.errors import Fault, InvalidFilter
from agentmem.schemas.base import check_text, to_utc

MAX_LIST: Final = 1000
"""Values in one list."""
MAX_TEXT: Final = 1000
"""Characters of one text value, or of one path into the metadata."""

Scalar: TypeAlias = str | int | float | bool | datetime | UUID | None

_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
)
_INT64: Final = 2**63
_WIDEST_INTEGER_BITS: Final = 1024
_NAMES: Final[tuple[tuple[type, str], ...]] = (
    (bool, "a boolean"),
    (int, "a number"),
    (float, "a number"),
    (str, "a string"),
    (list, "a list"),
    (tuple, "a list"),
    (Mapping, "an object"),
)
_SHOWN: Final = 60


def check_items(given: object, path: str, wanted: str) -> Sequence[object]:
    """Take a list of bounded length."""
    if not isinstance(given, list | tuple):
        raise fault(path, f"needs {wanted}, not {kind_of(given)}")
    if len(given) > MAX_LIST:
        raise fault(path, f"has {len(given)} items; the most is {MAX_LIST}")
    return given


def check_string(given: object, path: str) -> str:
    """Take a string that PostgreSQL can hold, of bounded length."""
    if not isinstance(given, str):
        raise fault(path, f"needs a string, not {kind_of(given)}")
    if len(given) > MAX_TEXT:
        raise fault(path, f"has {len(given)} characters; the most is {MAX_TEXT}")
    try:
        # A member of a string enumeration becomes its plain string, which database drivers know.
        return check_text(str.__str__(given))
    except ValueError as error:
        raise fault(path, str(error)) from None


def check_choice(given: object, path: str, choices: tuple[str, ...]) -> str:
    """Take one of the given names."""
    value = check_string(given, path)
    if value not in choices:
        raise fault(path, f"is none of {', '.join(choices)}")
    return value


def check_uuid(given: object, path: str) -> UUID:
    """Take an id, as an object or in its canonical form."""
    if isinstance(given, UUID):
        return given
    value = check_string(given, path)
    try:
        parsed = UUID(value)
    except ValueError:
        parsed = None
    # UUID() also reads braces, "urn:uuid:" and digits without dashes; an id has one spelling here.
    if parsed is None or str(parsed) != value.lower():
        raise fault(path, "is no id; it needs a UUID of the form 01234567-89ab-7def-8123-456789abcdef")
    return parsed


def check_number(given: object, path: str) -> int | float:
    """Take a finite number; a boolean is none."""
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise fault(path, f"needs a number, not {kind_of(given)}")
    if isinstance(given, float) and not math.isfinite(given):
        raise fault(path, "needs a finite number, not NaN or an infinity")
    if isinstance(given, int) and given.bit_length() >= _WIDEST_INTEGER_BITS:
        raise fault(path, "is a number too large to compare")
    return float(given) if isinstance(given, float) else int(given)


def check_integer(given: object, path: str) -> int:
    """Take a whole number of 64 bits."""
    value = check_number(given, path)
    if not isinstance(value, int) or not -_INT64 <= value < _INT64:
        raise fault(path, "needs a whole number of at most 64 bits")
    return value


def check_flag(given: object, path: str) -> bool:
    """Take true or false."""
    if not isinstance(given, bool):
        raise fault(path, f"needs true or false, not {kind_of(given)}")
    return given


def check_time(given: object, path: str) -> datetime:
    """Take a time, as an object or in RFC 3339 form; without a zone it is UTC, a date alone is its first instant."""
    try:
        if isinstance(given, datetime):
            return to_utc(given)
        if isinstance(given, date):
            return datetime(given.year, given.month, given.day, tzinfo=UTC)
        value = check_string(given, path)
        if not _TIME.fullmatch(value):
            raise fault(path, "is no time; write it as 2025-03-01, 2025-03-01T09:30:00Z or 2025-03-01T09:30:00+02:00")
        return to_utc(datetime.fromisoformat(value.upper()))
    except ValueError as error:
        raise fault(path, f"is no possible time: {error}") from None


def check_json_scalar(given: object, path: str) -> Scalar:
    """Take a string, a number or a boolean."""
    if isinstance(given, bool):
        return given
    if isinstance(given, int | float):
        return check_number(given, path)
    if isinstance(given, str):
        return check_string(given, path)
    raise fault(path, f"needs a string, a number, true, false or null, not {kind_of(given)}")


def kind_of(value: object) -> str:
    """Name the JSON type of a value, for messages."""
    if value is None:
        return "null"
    return next((name for type_, name in _NAMES if isinstance(value, type_)), f"a value of type {type(value).__name__}")


def shown(name: object) -> str:
    """Give a key as printable ASCII of bounded length: it may be anything a caller sent."""
    text = name if isinstance(name, str) else type(name).__name__
    printable = ascii(text[:_SHOWN])[1:-1]
    return printable if len(text) <= _SHOWN else f"{printable}..."


def fault(path: str, message: str) -> InvalidFilter:
    """Make the error for what is wrong at a place in the filter."""
    where = f"filters.{path}" if path else "filters"
    return InvalidFilter(
        f"Filter at {path}: {message}." if path else f"The filter {message}.",
        faults=[Fault(field=where, message=message)],
    )
