"""How arguments are written on the wire: JSON bodies, query strings and the parts of a path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import quote
from uuid import UUID, uuid4

from pydantic_core import PydanticSerializationError, to_json

from agentmem.errors import InvalidInput
from agentmem.schemas.base import Schema, parse
from agentmem.schemas.memories import OnDuplicate, Scope
from agentmem.schemas.requests import VersionRequest

Query = tuple[tuple[str, str], ...]
LONGEST_KEY: Final = 255
_KEY: Final = re.compile(rf"[ -~]{{1,{LONGEST_KEY}}}")
_SCOPE_KEYS: Final = frozenset(Scope.model_fields)


def json_of(value: object) -> bytes:
    """Write a value as JSON; raises :class:`InvalidInput` for what JSON cannot hold."""
    try:
        return to_json(value, inf_nan_mode="constants", fallback=_plain)
    except (PydanticSerializationError, UnicodeError, ValueError, TypeError) as error:
        raise InvalidInput(f"A value cannot be written as JSON: {type(error).__name__}.") from None


def body_of(request: Schema) -> bytes:
    """Write a request as JSON: the fields that were given, and no others."""
    return json_of(request.model_dump(exclude_unset=True))


def given(values: Mapping[str, object]) -> dict[str, object]:
    """Leave out the arguments that are ``None``: they were not given."""
    return {name: value for name, value in values.items() if value is not None}


def query_of(values: Mapping[str, object]) -> Query:
    """Write arguments as the pairs of a query string; those that are ``None`` are left out."""
    return tuple((name, _text(value)) for name, value in given(values).items())


def scope_of(scope: Mapping[str, object]) -> Query:
    """Write the ids of a scope as the pairs of a query string."""
    return query_of(parse(Scope, scope).model_dump())


def view_of(keywords: Mapping[str, object]) -> dict[str, object]:
    """Gather the scope's ids, which callers give side by side with the rest, into the scope of a request."""
    scope = {name: value for name, value in keywords.items() if name in _SCOPE_KEYS and value is not None}
    rest = {name: value for name, value in keywords.items() if name not in _SCOPE_KEYS and value is not None}
    return {**rest, "scope": scope} if scope else rest


def path_of(*parts: str | UUID) -> str:
    """Write the path of a route; each part is one segment, whatever it holds."""
    return "/v1/" + "/".join(quote(str(part), safe="") for part in parts)


def memory_id_of(value: UUID | str) -> str:
    """Check the id of a memory; raises :class:`InvalidInput`."""
    try:
        return str(value if isinstance(value, UUID) else UUID(value))
    except (ValueError, AttributeError, TypeError):
        raise InvalidInput(f"{value!r:.80} is not the id of a memory.", hint="Ids are UUIDs.") from None


def policy_of(value: OnDuplicate | str | None) -> OnDuplicate | None:
    """Check a duplicate policy; raises :class:`InvalidInput`."""
    try:
        return None if value is None else OnDuplicate(value)
    except ValueError:
        raise InvalidInput(f"on_duplicate is return or keep, not {value!r:.80}.") from None


def keyed(idempotency_key: object = None) -> dict[str, str]:
    """Give the header that makes a POST safe to repeat: by the key given, or by a new one."""
    if idempotency_key is None:
        return {"Idempotency-Key": str(uuid4())}
    if not (isinstance(idempotency_key, str) and _KEY.fullmatch(idempotency_key)):
        raise InvalidInput(f"An idempotency key is printable ASCII text of 1 to {LONGEST_KEY} characters.")
    return {"Idempotency-Key": idempotency_key}


def expecting(if_version: int | None) -> dict[str, str]:
    """Give the header that names the version a change expects; none when any version will do."""
    expected = parse(VersionRequest, {"if_version": if_version}).if_version
    return {} if expected is None else {"If-Match": f'"{expected}"'}


def _text(value: object) -> str:
    if isinstance(value, str):
        text = str(value)
    elif isinstance(value, datetime):
        text = value.isoformat()
    elif isinstance(value, UUID):
        text = str(value)
    else:
        text = json_of(value).decode()
    if not text.isascii():
        json_of(text)  # refuses what UTF-8 cannot hold
    return text


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)
