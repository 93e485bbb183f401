"""What schemathesis cannot read out of a schema: moments that are to come, keys used once, cursors that lead on.

It is loaded by schemathesis itself. Wrong values, which must be refused, are sent as they are.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import schemathesis
from schemathesis import Case, GenerationMode, HookContext, SerializationContext

PRESENT: dict[str, object] = {
    "cursor": None,
    "email": "ada@example.com",
    "network": "192.0.2.0/24",
    "networks": ["192.0.2.0/24"],
    "model": "default",
    "scopes": ["memory:read"],
    "url": "https://hooks.example.com/agentmem",
}
"""What only the store can say, or no pattern: which scopes a key may have depends on the role of its member."""
JSON_TEXTS = {"filters": '{"kind": "semantic"}', "metadata": '{"topic": "tea"}'}
"""What is a text to the schema, and JSON to the server."""
TAG = re.compile('"[1-9][0-9]{0,9}"')
TO_COME = "2099-01-01T00:00:00Z"


@schemathesis.serializer("application/x-ndjson")
def as_lines(_context: SerializationContext, value: object) -> bytes:
    """Send lines as they are."""
    return str(value).encode("utf-8", "replace")


@schemathesis.hook
def before_call(_context: HookContext, case: Case[Any], _options: dict[str, object]) -> None:
    """Make of what the schema admits what the present state admits."""
    if case.path == "/v1/events":
        case.query = {"seconds": 0, **(case.query or {})}  # one without goes on for ever
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    if "If-Match" in case.headers and not TAG.fullmatch(str(case.headers["If-Match"])):
        del case.headers["If-Match"]  # a pattern with quotes is not always kept to
    if "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = uuid4().hex
    if "cursor" in (case.query or {}):
        del case.query["cursor"]  # none but those that a page gave leads on
    for name in JSON_TEXTS.keys() & (case.query or {}).keys():
        case.query[name] = JSON_TEXTS[name]
    if case.method.upper() == "DELETE" and case.path == "/v1/memories" and not case.query:
        case.query = {"user_id": "nobody"}
    if case.path == "/v1/memories/import":
        case.body = '"Ada likes green tea"'
    if case.path == "/v1/events":
        case.query = {"seconds": 0}
        case.headers.pop("Last-Event-ID", None)
    _exchange(case.query)
    _exchange(case.body)


@schemathesis.hook
def after_call(_context: HookContext, case: Case[Any], response: schemathesis.Response) -> None:
    """Write down which operation was called and what it answered, for the test to read."""
    with Path(os.environ["SCHEMATHESIS_CALLS"]).open("a", encoding="utf-8") as calls:
        calls.write(f"{case.operation.label} {response.status_code}\n")


def _exchange(value: object) -> None:
    if isinstance(value, dict):
        for name, good in PRESENT.items():
            if name in value:
                value[name] = good
        if re.match("[0-9]{4}-", str(value.get("expires_at"))):
            value["expires_at"] = TO_COME
        for name in ("memories", "changes"):
            value |= _each_once(name, value.get(name))
        for name, item in value.items():
            if isinstance(item, float) and item.is_integer():
                value[name] = int(item)  # to JSON Schema 5.0 is whole; to us it is no count
            _exchange(item)
    elif isinstance(value, list):
        for item in value:
            _exchange(item)


def _each_once(name: str, items: object) -> dict[str, object]:
    if not isinstance(items, list) or not all(isinstance(item, dict) and "id" in item for item in items):
        return {}
    return {name: list({item["id"]: item for item in items}.values())}
