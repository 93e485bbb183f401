"""JSON that may be taken from strangers: no NaN, no repeated names, no lone surrogates, not too deep, not too long."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Final

from pydantic import JsonValue

from agentmem.errors import Fault, InvalidInput, MalformedRequest

MOST_ITEMS: Final = 10_000
DEEPEST: Final = 32
_LONGEST_FIELD: Final = 200


def read_json(text: str, name: str) -> JsonValue:
    """Read sound JSON: no NaN, no repeated names, at most 32 levels and 10,000 items in one array.

    ``name`` is what the errors call it. Raises :class:`MalformedRequest` for what is no such JSON, and
    :class:`InvalidInput` for lone surrogates.
    """
    try:
        value: JsonValue = json.loads(
            text, parse_constant=partial(_refuse_constant, name), object_pairs_hook=partial(_object_of, name)
        )
    except json.JSONDecodeError as error:
        said = f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise malformed(f"The {name} {said}.", name) from None
    except RecursionError:
        raise malformed(f"The {name} is nested more than {DEEPEST} levels deep.", name) from None
    except ValueError:
        raise malformed(f"The {name} is not JSON that we take: a number has too many digits.", name) from None
    _check(value, name, escaped="\\u" in text)
    return value


def malformed(message: str, field: str) -> MalformedRequest:
    """Make the error for what is no JSON that we take."""
    return MalformedRequest(message, faults=[Fault(field=field, message=message)])


def _refuse_constant(name: str, constant: str) -> JsonValue:
    raise malformed(f"The {name} is not JSON: {constant} is no JSON number.", name)


def _object_of(name: str, pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise malformed(f"The {name} is not JSON that we take: an object names a field twice.", name)
    return values


def _check(value: JsonValue, name: str, *, escaped: bool) -> None:
    """Walk the value without recursion; only an escape can have made a lone surrogate of UTF-8."""
    stack: list[tuple[str, int, JsonValue]] = [(name, 0, value)]
    while stack:
        field, depth, item = stack.pop()
        if isinstance(item, str):
            if escaped:
                _check_surrogates(field, item)
        elif isinstance(item, list | dict):
            if depth >= DEEPEST:
                raise malformed(f"The {name} is nested more than {DEEPEST} levels deep.", field)
            if isinstance(item, list) and len(item) > MOST_ITEMS:
                raise malformed(f"An array has {len(item)} items, the limit is {MOST_ITEMS}.", field)
            stack.extend((inner, depth + 1, child) for inner, child in _children(field, item, escaped=escaped))


def _children(
    field: str, item: list[JsonValue] | dict[str, JsonValue], *, escaped: bool
) -> Iterator[tuple[str, JsonValue]]:
    named: Iterator[tuple[str | int, JsonValue]] = iter(
        list(enumerate(item)) if isinstance(item, list) else list(item.items())
    )
    for name, child in named:
        if escaped and isinstance(name, str):
            _check_surrogates(field, name)
        if isinstance(child, str | list | dict):  # the rest cannot be wrong
            yield f"{field}.{name}" if len(field) < _LONGEST_FIELD else field, child


def _check_surrogates(field: str, text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        message = f"holds a lone surrogate at character {error.start}; repair the text's encoding"
        raise InvalidInput(
            f"Input is not valid: {field}: {message}.", faults=[Fault(field=field, message=message)]
        ) from None
