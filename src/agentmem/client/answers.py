"""How answers are read: bodies as our schemas, refusals as our errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from agentmem.errors import (
    AgentMemError,
    Conflict,
    Fault,
    InvalidInput,
    MethodNotAllowed,
    NotFound,
    PermissionDenied,
    RateLimited,
    RequestTimeout,
    RequestTooLarge,
    Unauthenticated,
    Unavailable,
)

Answer = TypeVar("Answer", bound=BaseModel)
Headers = Mapping[str, str]
"""Header fields by their names in lower case."""

# What a status means when the answer carries no code of ours: it comes from something between us and the server.
_BY_STATUS: Final[Mapping[int, type[AgentMemError]]] = {
    401: Unauthenticated,
    403: PermissionDenied,
    404: NotFound,
    405: MethodNotAllowed,
    408: RequestTimeout,
    409: Conflict,
    413: RequestTooLarge,
    429: RateLimited,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def one(schema: type[Answer]) -> Callable[[bytes], Answer]:
    """Give a reader of one object; fields that a newer server adds are passed over."""

    def read(body: bytes) -> Answer:
        try:
            return schema.model_validate_json(body, extra="ignore")
        except ValidationError:
            raise _not_understood(schema) from None

    return read


def many(schema: type[Answer]) -> Callable[[bytes], list[Answer]]:
    """Give a reader of a list of objects."""

    def read(body: bytes) -> list[Answer]:
        try:
            value = json.loads(body)
            items = value["items"] if isinstance(value, dict) else value
            return [schema.model_validate(item, extra="ignore") for item in items]
        except (ValueError, KeyError, TypeError):
            raise _not_understood(schema) from None

    return read


def nothing(body: bytes) -> None:
    """Read the empty body of an answer that says no more than that it is done."""
    del body


def error_of(status: int, headers: Headers, body: bytes) -> AgentMemError:
    """Give the error that an answer stands for: the class of its code, or of its status where it has none of ours."""
    problem = _problem(body)
    code = problem.get("code")
    known = next((kind for kind in _tree(AgentMemError) if kind.code == code), None)
    error = (known or _class_of(status))(
        _word(problem.get("detail")) or f"The server answered with status {status}.",
        hint=_word(problem.get("hint")),
        retry_after=retry_after(headers),
    )
    error.faults = tuple(_faults(problem.get("errors")))
    error.status = status
    if isinstance(code, str):
        error.code = code
    if "x-request-id" in headers:
        error.add_note(f"Request {headers['x-request-id']}")
    return error


def retry_after(headers: Headers) -> float | None:
    """Read how many seconds to wait; a date is counted from the answer's own date, so no clock has to agree."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        until, sent = parsedate_to_datetime(value), parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (until - sent).total_seconds())
    except (ValueError, TypeError):
        return None


def _tree(kind: type[AgentMemError]) -> Iterator[type[AgentMemError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _tree(child)


def _class_of(status: int) -> type[AgentMemError]:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return InvalidInput if 400 <= status < 500 else AgentMemError


def _problem(body: bytes) -> dict[str, object]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _faults(value: object) -> Iterator[Fault]:
    for item in value if isinstance(value, list) else []:
        if isinstance(item, dict):
            yield Fault(field=str(item.get("field", "")), message=str(item.get("message", "")))


def _not_understood(schema: type[BaseModel]) -> AgentMemError:
    return AgentMemError(
        f"The server's answer is not what this client reads as {schema.__name__}.",
        hint="Is the address an AgentMem server's, and is the client as new as it?",
    )
