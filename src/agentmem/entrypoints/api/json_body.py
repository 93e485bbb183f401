"""Request bodies as JSON: strictly read, before any of them is looked at."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Final

from pydantic import JsonValue
from starlette.requests import Request

from agentmem.errors import Fault, InvalidInput, MalformedRequest, UnsupportedContent

MOST_ITEMS: Final = 10_000
DEEPEST: Final = 32
_READ_IN_A_THREAD: Final = 256 * 1024
_LONGEST_FIELD: Final = 200


class JsonRequest(Request):
    """A request whose body is read by :func:`read_json`; its errors are ours, and name the field."""

    async def json(self) -> JsonValue:
        """Give the body's value, read once."""
        if not hasattr(self, "_json"):
            check_content_type(self.headers.get("content-type"), self.headers.get("content-encoding"))
            body = await self.body()
            # A large body must not hold up the requests beside it.
            self._json: JsonValue = (
                read_json(body) if len(body) < _READ_IN_A_THREAD else await asyncio.to_thread(read_json, body)
            )
        return self._json


def check_content_type(content_type: str | None, content_encoding: str | None) -> None:
    """Refuse a body that is not plain UTF-8 JSON; raises :class:`UnsupportedContent`."""
    check_encoding(content_encoding)
    media, _, parameters = (content_type or "").partition(";")
    if media.strip().lower() != "application/json":
        raise UnsupportedContent("The body's Content-Type is not application/json.", hint="Send JSON, and say so.")
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in {"utf-8", "utf8"}:
            raise UnsupportedContent("The body's charset is not utf-8.", hint="JSON is sent as UTF-8.")


def check_encoding(content_encoding: str | None) -> None:
    """Refuse a compressed body, whose true size nobody knows; raises :class:`UnsupportedContent`."""
    if content_encoding is not None and content_encoding.strip().lower() != "identity":
        raise UnsupportedContent("The body is compressed (Content-Encoding).", hint="Send it as it is.")


def read_json(body: bytes) -> JsonValue:
    """Read sound JSON: UTF-8, no NaN, no repeated names, at most 32 levels and 10,000 items in one array.

    Raises :class:`MalformedRequest` for what is no such JSON, and :class:`InvalidInput` for lone surrogates.
    """
    try:
        value: JsonValue = json.loads(
            body.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_object_of
        )
    except UnicodeDecodeError as error:
        raise _malformed(f"The body is not UTF-8: byte {error.start} is wrong.") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise _malformed(f"The body is nested more than {DEEPEST} levels deep.") from None
    except ValueError:
        raise _malformed("The body is not JSON that we take: a number has too many digits.") from None
    _check(value, escaped=b"\\u" in body)
    return value


def _refuse_constant(name: str) -> JsonValue:
    raise _malformed(f"The body is not JSON: {name} is no JSON number.")


def _object_of(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise _malformed("The body is not JSON that we take: an object names a field twice.")
    return values


def _check(value: JsonValue, *, escaped: bool) -> None:
    """Walk the value without recursion; only an escape can have made a lone surrogate of UTF-8."""
    stack: list[tuple[str, int, JsonValue]] = [("body", 0, value)]
    while stack:
        field, depth, item = stack.pop()
        if isinstance(item, str):
            if escaped:
                _check_surrogates(field, item)
        elif isinstance(item, list | dict):
            if depth >= DEEPEST:
                raise _malformed(f"The body is nested more than {DEEPEST} levels deep.", field)
            if isinstance(item, list) and len(item) > MOST_ITEMS:
                raise _malformed(f"An array has {len(item)} items, the limit is {MOST_ITEMS}.", field)
            stack.extend((name, depth + 1, child) for name, child in _children(field, item, escaped=escaped))


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


def _malformed(message: str, field: str = "body") -> MalformedRequest:
    return MalformedRequest(message, faults=[Fault(field=field, message=message)])
