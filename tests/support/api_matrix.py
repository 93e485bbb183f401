"""Every operation of the server as its OpenAPI document tells of it, and requests made of the document's examples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

Json = dict[str, Any]
"""A document, or a part of one."""

SCOPE = frozenset({"scope", "filters", "user_id", "agent_id", "run_id", "app_id"})
OF_PATHS = frozenset({"kind", "policy_kind"})
"""What has this name in a path is a kind of entities; elsewhere, a kind of memories."""
LAST = (
    *(
        "discard_job",
        "retry_job",
        "restore",
        "delete",
        "delete_many",
        "delete_all",
        "rotate_api_key",
        "revoke_api_key",
        "disable_member",
    ),
    "erase_subject",
    *("delete_webhook", "revoke_invitation", "disable_account", "delete_account", "delete_own_account"),
    *("delete_organization", "restore_organization", "erase_organization", "revive_organization"),
)
"""Whoever calls everything calls these last and in this order, for they take away what others need."""


@dataclass(frozen=True, kw_only=True)
class ApiOperation:
    """One operation: how it is called, what it needs, and an example of its body."""

    operation_id: str
    method: str
    path: str
    permission: str | None
    in_path: tuple[str, ...]
    in_query: tuple[str, ...]
    in_header: tuple[str, ...]
    in_body: tuple[str, ...] = ()
    """The ids that its body may name, whether the example does or not."""
    media_type: str | None = None
    example: object = field(default=None, repr=False)

    def carries(self, ids: Mapping[str, str]) -> bool:
        """Tell whether a request of this operation carries any of the ids."""
        inside = {*self.in_query, *self.in_body, *_names_in(self.example)} - OF_PATHS
        return not {*self.in_path, *inside}.isdisjoint(ids)

    @property
    def ending(self) -> dict[str, str]:
        """What a stream is asked for to end once it has told what is there: without it, it goes on for ever."""
        return {"seconds": "0"} if "seconds" in self.in_query else {}

    @property
    def unscoped(self) -> ApiOperation:
        """The same operation, of which the whole organization is asked for."""
        wide = tuple(name for name in self.in_query if name not in SCOPE)
        return replace(self, in_query=wide, in_body=(), example=_without(self.example, SCOPE))

    async def send(
        self,
        client: httpx.AsyncClient,
        ids: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        content: str | None = None,
    ) -> httpx.Response:
        """Send the example with these ids in the place of its own, wherever one has their name."""
        path = self.path.format(**{name: ids[name] for name in self.in_path})
        inside = {name: value for name, value in ids.items() if name not in OF_PATHS}
        query = {name: inside[name] for name in self.in_query if name in inside} | self.ending
        given = dict(headers or {})
        if self.media_type is not None:
            given["Content-Type"] = self.media_type
            if content is None:
                body = _with_ids(self.example, inside)
                if isinstance(body, dict):
                    body |= {name: inside[name] for name in self.in_body if name in inside}
                content = body if isinstance(body, str) else json.dumps(body)
        return await client.request(self.method, path, params=query, headers=given, content=content)


def operations_of(document: Json) -> dict[str, ApiOperation]:
    """Read the operations of a document by their ids."""
    schemas = document["components"]["schemas"]
    found = [
        _operation(method, path, told, schemas)
        for path, item in document["paths"].items()
        for method, told in item.items()
    ]
    return {operation.operation_id: operation for operation in found}


def in_order(operations: Mapping[str, ApiOperation]) -> list[ApiOperation]:
    """Give all operations, those that take things away last."""
    names = sorted(operations, key=lambda name: LAST.index(name) if name in LAST else -1)
    return [operations[name] for name in names]


def _operation(method: str, path: str, told: Json, schemas: Json) -> ApiOperation:
    named: dict[str, list[str]] = {"path": [], "query": [], "header": []}
    for parameter in told.get("parameters") or ():
        named[parameter["in"]].append(parameter["name"])
    content = (told.get("requestBody") or {}).get("content", {})
    media_type = next(iter(content), None)
    return ApiOperation(
        operation_id=told["operationId"],
        method=method.upper(),
        path=path,
        permission=told.get("x-agentmem-permission"),
        in_path=tuple(named["path"]),
        in_query=tuple(named["query"]),
        in_header=tuple(named["header"]),
        in_body=() if media_type is None else _ids_of(content[media_type]["schema"], schemas),
        media_type=media_type,
        example=None if media_type is None else _example(content[media_type]),
    )


def _ids_of(schema: Json, schemas: Json) -> tuple[str, ...]:
    """Name the fields of a body that hold an id."""
    named = schemas.get(str(schema.get("$ref")).rsplit("/", 1)[-1], {}).get("properties", {})
    return tuple(
        name
        for name, field in named.items()
        if "uuid" in {option.get("format") for option in (field, *field.get("anyOf", ()))}
    )


def _example(content: Json) -> object:
    if "example" in content:
        return content["example"]
    examples: Json = content.get("examples") or {"none": {"value": None}}
    return next(iter(examples.values()))["value"]


def _with_ids(value: object, ids: Mapping[str, str]) -> object:
    if isinstance(value, dict):
        return {
            name: ids[name] if name in ids and isinstance(part, str) else _with_ids(part, ids)
            for name, part in value.items()
        }
    return [_with_ids(part, ids) for part in value] if isinstance(value, list) else value


def _without(value: object, names: AbstractSet[str]) -> object:
    if isinstance(value, dict):
        return {name: _without(part, names) for name, part in value.items() if name not in names}
    return [_without(part, names) for part in value] if isinstance(value, list) else value


def _names_in(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {name for part in value.values() for name in _names_in(part)}
    return {name for part in value for name in _names_in(part)} if isinstance(value, list) else set()
