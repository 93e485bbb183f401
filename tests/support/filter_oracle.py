"""What a filter means, in plain Python: evaluated on its JSON form, with neither the parser nor the compiler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, TypeAlias
from uuid import UUID

Row: TypeAlias = Mapping[str, object]

TRUST: Final = ("import", "external", "tool", "agent", "user", "operator")
TIMES: Final = frozenset({"occurred_at", "created_at", "updated_at", "expires_at", "superseded_at"})


def passes(given: Mapping[str, object] | None, row: Row) -> bool:
    """Tell whether a valid filter lets a row pass."""
    return all(_entry(key, value, row) for key, value in (given or {}).items())


def _entry(key: str, value: object, row: Row) -> bool:
    if key == "not":
        assert isinstance(value, Mapping)
        return not passes(value, row)
    if key in {"and", "or"}:
        assert isinstance(value, list)
        outcomes = [passes(item, row) for item in value]
        return all(outcomes) if key == "and" else any(outcomes)
    stored = _normal(key, _lookup(key, row))
    tests = value if isinstance(value, Mapping) else {"eq": value}
    return all(_test(key, operator, stored, operand) for operator, operand in tests.items())


def _lookup(key: str, row: Row) -> object:
    if not key.startswith("metadata."):
        return row[key]
    value: object = row["metadata"]
    for part in _split(key.removeprefix("metadata.")):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _split(path: str) -> list[str]:
    # Two private-use characters stand in for what is escaped.
    marked = path.replace("\\\\", "\ue000").replace("\\.", "\ue001")
    return [part.replace("\ue000", "\\").replace("\ue001", ".") for part in marked.split(".")]


def _normal(key: str, value: object) -> object:
    """Bring a value into a form in which Python's own comparison is the filter's."""
    if value is None:
        return None
    if key == "authority":
        return ("rank", TRUST.index(str(value)))
    if key == "id":
        return ("id", UUID(str(value)))
    if key in TIMES:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return ("time", time.replace(tzinfo=UTC) if time.tzinfo is None else time)
    return _typed(value)


def _typed(value: object) -> object:
    """Mark a JSON value with its type: true is not 1, and numbers are equal by the decimal they are written as."""
    if isinstance(value, bool):
        return ("flag", value)
    if isinstance(value, int | float):
        return ("number", Decimal(repr(value)))
    if isinstance(value, str):
        return ("text", str(value))
    if isinstance(value, list):
        return ("list", [_typed(item) for item in value])
    if isinstance(value, Mapping):
        return ("object", {key: _typed(item) for key, item in value.items()})
    return ("null", None)


def _test(key: str, operator: str, stored: object, operand: object) -> bool:
    if operator in {"ne", "nin"}:
        return not _test(key, {"ne": "eq", "nin": "in"}[operator], stored, operand)
    if operator == "exists":
        return (stored is not None) is operand
    if operator == "in":
        assert isinstance(operand, list)
        return any(stored == _normal(key, item) for item in operand)
    if operator == "eq":
        return stored == _normal(key, operand)
    if stored is None:
        return False
    return _positive(operator, stored, operand, _normal(key, operand))


def _positive(operator: str, stored: object, operand: object, wanted: object) -> bool:
    assert isinstance(stored, tuple)
    kind, value = stored
    if operator == "contains":
        return _contains(kind, value, operand)
    if operator == "icontains":
        return kind == "text" and folded(str(operand)) in folded(value)
    if operator == "starts_with":
        return kind == "text" and bool(value.startswith(str(operand)))
    assert isinstance(wanted, tuple)
    ordered: dict[str, Callable[[], bool]] = {
        "gt": lambda: value > wanted[1],
        "gte": lambda: value >= wanted[1],
        "lt": lambda: value < wanted[1],
        "lte": lambda: value <= wanted[1],
    }
    return kind == wanted[0] and kind not in {"flag", "list", "object"} and ordered[operator]()


def _contains(kind: str, value: object, operand: object) -> bool:
    if kind == "list":
        assert isinstance(value, list)
        return _typed(operand) in value
    return kind == "text" and isinstance(operand, str) and operand in str(value)


def folded(text: str) -> str:
    """Fold case a character for a character; one that would become several stays, in lower case where that is one."""
    once = [next((form for form in (c.casefold(), c.lower()) if len(form) == 1), c) for c in text]
    return "".join(once)
