"""The calls of the client as values: what is sent, and how the answer is read. Nothing here does I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Generic, TypeVar
from uuid import UUID

from agentmem.client.answers import many, nothing, one
from agentmem.client.encoding import (
    Query,
    body_of,
    expecting,
    given,
    json_of,
    keyed,
    memory_id_of,
    path_of,
    policy_of,
    query_of,
    scope_of,
    view_of,
)
from agentmem.schemas.base import parse
from agentmem.schemas.entities import EntityKind, EntitySeen
from agentmem.schemas.health import HealthReport, Reembedded, StoreInfo, Vacuumed
from agentmem.schemas.items import items_of, memory_of
from agentmem.schemas.keywords import Given
from agentmem.schemas.memories import (
    Added,
    Change,
    Deleted,
    Imported,
    MemoryPatch,
    MemoryRecord,
    NearDuplicate,
    NewMemory,
    OnDuplicate,
    Origin,
    PackedContext,
    Page,
    Provenance,
    SearchResults,
    Stats,
)
from agentmem.schemas.organizations import Me
from agentmem.schemas.provenance import Promotion, Rollback, Taint, Undone
from agentmem.schemas.requests import (
    BatchDelete,
    BatchUpdate,
    ContextRequest,
    IdAtVersion,
    ListRequest,
    PatchOf,
    PinRequest,
    ReadRequest,
    SearchRequest,
    SimilarityRequest,
)
from agentmem.schemas.usage import UsageReport

Result = TypeVar("Result")
Values = Mapping[str, object]
Moment = datetime | str
Day = date | str


@dataclass(frozen=True, kw_only=True, slots=True)
class Call(Generic[Result]):
    """One request, and the reader of its answer.

    ``repeatable`` says that sending it twice does no more than sending it once; ``patient`` that its answer may take
    as long as it takes. ``silence`` is how many seconds may pass between two parts of its answer, if more than usual.
    """

    method: str
    path: str
    read: Callable[[bytes], Result]
    query: Query = ()
    body: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    repeatable: bool = False
    patient: bool = False
    silence: float = 0.0


def get_from(path: str, read: Callable[[bytes], Result], query: Query = ()) -> Call[Result]:
    """Read something; reading twice changes nothing."""
    return Call(method="GET", path=path, read=read, query=query, repeatable=True)


def post_to(
    path: str, read: Callable[[bytes], Result], body: bytes | None, key: str | None = None, *, patient: bool = False
) -> Call[Result]:
    """Do something once: the idempotency key makes it safe to send again."""
    return Call(method="POST", path=path, read=read, body=body, headers=keyed(key), repeatable=True, patient=patient)


def change(
    method: str, path: str, read: Callable[[bytes], Result], body: bytes | None, if_version: int | None
) -> Call[Result]:
    """Change something; it is sent again only when it names the version it changes."""
    headers = expecting(if_version)
    return Call(method=method, path=path, read=read, body=body, headers=headers, repeatable=bool(headers))


def add(
    memories: Sequence[NewMemory], idempotency_key: str | None, on_duplicate: OnDuplicate | str | None
) -> Call[Added]:
    """Remember."""
    sent = [memory.model_dump(exclude_unset=True) for memory in memories]
    body = {"memories": sent, "on_duplicate": policy_of(on_duplicate)}
    return post_to(path_of("memories"), one(Added), json_of(given(body)), idempotency_key)


def read_all(content: Given | Sequence[Given], attributes: Values) -> list[NewMemory]:
    """Read the content of one add."""
    said = given(attributes)
    return [memory_of(item, said) for item in items_of(content)]


def get(memory_id: UUID | str, as_of: Moment | None, known_at: Moment | None) -> Call[MemoryRecord]:
    """Read one memory."""
    moment = parse(ReadRequest, given({"as_of": as_of, "known_at": known_at})).model_dump(include={"as_of", "known_at"})
    return get_from(path_of("memories", memory_id_of(memory_id)), one(MemoryRecord), query_of(moment))


def page(values: Values) -> Call[Page[MemoryRecord]]:
    """Read a page of memories."""
    request = parse(ListRequest, view_of(values))
    return _ask(path_of("memories", "query"), one(Page[MemoryRecord]), body_of(request))


def search(values: Values) -> Call[SearchResults]:
    """Find the memories that answer a query."""
    return _ask(path_of("memories", "search"), one(SearchResults), body_of(parse(SearchRequest, view_of(values))))


def context(values: Values) -> Call[PackedContext]:
    """Pack the memories that answer a query."""
    return _ask(path_of("context"), one(PackedContext), body_of(parse(ContextRequest, view_of(values))))


def update(memory_id: UUID | str, if_version: int | None, changes: Values) -> Call[MemoryRecord]:
    """Change a memory."""
    path = path_of("memories", memory_id_of(memory_id))
    return change("PATCH", path, one(MemoryRecord), body_of(parse(MemoryPatch, changes)), if_version)


def pin(memory_id: UUID | str, if_version: int | None, *, pinned: bool) -> Call[MemoryRecord]:
    """Pin a memory, or unpin it; doing it again changes nothing."""
    path = path_of("memories", memory_id_of(memory_id), "pin")
    body = body_of(parse(PinRequest, {"pinned": pinned}))
    headers = expecting(if_version)
    return Call(method="PUT", path=path, read=one(MemoryRecord), body=body, headers=headers, repeatable=True)


def delete(memory_id: UUID | str, if_version: int | None) -> Call[None]:
    """Delete a memory."""
    return change("DELETE", path_of("memories", memory_id_of(memory_id)), nothing, None, if_version)


def delete_all(scope: Values) -> Call[Deleted]:
    """Delete all memories of a scope."""
    return Call(method="DELETE", path=path_of("memories"), read=one(Deleted), query=scope_of(scope), patient=True)


def restore(memory_id: UUID | str, if_version: int | None) -> Call[MemoryRecord]:
    """Bring a deleted memory back."""
    path = path_of("memories", memory_id_of(memory_id), "restore")
    headers = {**keyed(), **expecting(if_version)}
    return Call(method="POST", path=path, read=one(MemoryRecord), headers=headers, repeatable=True)


def history(memory_id: UUID | str) -> Call[list[Change]]:
    """Read every version of a memory."""
    return get_from(path_of("memories", memory_id_of(memory_id), "history"), many(Change))


def provenance(memory_id: UUID | str) -> Call[Provenance]:
    """Read where a memory comes from."""
    return get_from(path_of("memories", memory_id_of(memory_id), "provenance"), one(Provenance))


def promote(memory_id: UUID | str, authority: Origin | str, if_version: int | None) -> Call[MemoryRecord]:
    """Trust a memory further."""
    path = path_of("memories", memory_id_of(memory_id), "promote")
    body = body_of(parse(Promotion, {"authority": authority}))
    headers = {**keyed(), **expecting(if_version)}
    return Call(method="POST", path=path, read=one(MemoryRecord), body=body, headers=headers, repeatable=True)


def taint(named: Values, *, dry_run: bool) -> Call[Undone]:
    """Take out of every read what is no longer believed."""
    body = body_of(parse(Taint, {**named, "dry_run": dry_run}))
    return post_to(path_of("memories", "taint"), one(Undone), body, patient=True)


def rollback(to: Moment, scope: Values, *, dry_run: bool) -> Call[Undone]:
    """Take the memories of a scope back to a moment."""
    body = body_of(parse(Rollback, {"to": to, "scope": scope, "dry_run": dry_run}))
    return post_to(path_of("memories", "rollback"), one(Undone), body, patient=True)


def stats(scope: Values) -> Call[Stats]:
    """Count the memories of a scope."""
    return get_from(path_of("stats"), one(Stats), scope_of(scope))


def export(scope: Values) -> Call[None]:
    """Read the memories of a scope as a stream of lines."""
    return get_from(path_of("memories", "export"), nothing, scope_of(scope))


def import_(attributes: Values) -> Call[Imported]:
    """Store what a stream of lines holds, which is sent as the body."""
    return Call(
        method="POST",
        path=path_of("memories", "import"),
        read=one(Imported),
        query=query_of(attributes),
        headers={**keyed(), "Content-Type": "application/x-ndjson"},
        patient=True,
    )


def duplicates(threshold: float, scope: Values) -> Call[list[NearDuplicate]]:
    """Find pairs of memories that say almost the same."""
    asked = parse(SimilarityRequest, {"threshold": threshold}).model_dump()
    path = path_of("memories", "duplicates")
    query = (*query_of(asked), *scope_of(scope))
    return Call(method="GET", path=path, read=many(NearDuplicate), query=query, repeatable=True, patient=True)


def update_many(changes: Sequence[PatchOf | Values]) -> Call[list[MemoryRecord]]:
    """Change many memories, all or none."""
    body = body_of(parse(BatchUpdate, {"changes": list(changes)}))
    return post_to(path_of("memories", "batch", "update"), many(MemoryRecord), body)


def delete_many(memories: Sequence[UUID | str | IdAtVersion | Values]) -> Call[Deleted]:
    """Delete many memories, all or none."""
    named = [{"id": memory_id_of(item)} if isinstance(item, UUID | str) else item for item in memories]
    body = body_of(parse(BatchDelete, {"memories": named}))
    return post_to(path_of("memories", "batch", "delete"), one(Deleted), body)


def entities(kind: EntityKind | str, limit: int, cursor: str | None, scope: Values) -> Call[Page[EntitySeen]]:
    """List the users, agents, runs or apps that memories belong to."""
    query = (*query_of({"limit": limit, "cursor": cursor}), *scope_of(scope))
    return get_from(path_of("entities", str(kind)), one(Page[EntitySeen]), query)


def usage(since: Day | None, until: Day | None) -> Call[UsageReport]:
    """Read what the organization has used."""
    return get_from(path_of("usage"), one(UsageReport), query_of({"since": since, "until": until}))


def me() -> Call[Me]:
    """Read who is asking."""
    return get_from(path_of("me"), one(Me))


def doctor(*, repair: bool) -> Call[HealthReport]:
    """Examine the store."""
    return _maintain("doctor", one(HealthReport), {"repair": repair})


def vacuum(purge_after_days: int | None) -> Call[Vacuumed]:
    """Tidy the store."""
    return _maintain("vacuum", one(Vacuumed), given({"purge_after_days": purge_after_days}))


def info() -> Call[StoreInfo]:
    """Describe the store."""
    return get_from(path_of("info"), one(StoreInfo))


def reembed(model: str) -> Call[Reembedded]:
    """Embed every memory by another model."""
    return _maintain("reembed", one(Reembedded), {"model": model})


def _ask(path: str, read: Callable[[bytes], Result], body: bytes) -> Call[Result]:
    """Read something that is asked for in a body."""
    return Call(method="POST", path=path, read=read, body=body, repeatable=True)


def _maintain(what: str, read: Callable[[bytes], Result], values: Values) -> Call[Result]:
    """Do something that may take minutes; what was done before an interruption stays done."""
    return post_to(path_of("maintenance", what), read, json_of(values), patient=True)
