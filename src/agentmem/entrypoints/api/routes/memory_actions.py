"""What else can be done with memories: their history, bringing them back, pinning, many at once."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import access
from agentmem.entrypoints.api.answers import answer
from agentmem.entrypoints.api.bodies import BodyLimit
from agentmem.entrypoints.api.charging import charge_items
from agentmem.entrypoints.api.etags import require_versions
from agentmem.entrypoints.api.gate import app_of, caller_of, if_version_of, router
from agentmem.entrypoints.api.telling import show, tell
from agentmem.foundation.authorization.caller import Permission
from agentmem.kit.ids import MemoryId
from agentmem.schemas.memories import Change, Deleted, MemoryPatch, MemoryRecord, NearDuplicate, Stats
from agentmem.schemas.queries import DuplicatesQuery, ScopeQuery
from agentmem.schemas.requests import BatchDelete, BatchUpdate, PinRequest
from agentmem.schemas.views import Items

memory_actions = router("memories")


@memory_actions.get(
    "/memories/{memory_id:uuid}/history", response_model=Items[Change], openapi_extra=access(Permission.MEMORY_READ)
)
async def history(request: Request, memory_id: UUID) -> Response:
    """Read every version of a memory with what changed it, oldest first; deleted memories have one too."""
    changes = await app_of(request).memories.history(caller_of(request), MemoryId(memory_id))
    return await tell(request, Items(items=list(changes)))


@memory_actions.post(
    "/memories/{memory_id:uuid}/restore",
    response_model=MemoryRecord,
    openapi_extra=access(Permission.MEMORY_WRITE, if_match=True),
)
async def restore(request: Request, memory_id: UUID) -> Response:
    """Bring a deleted memory back."""
    record = await app_of(request).memories.restore(caller_of(request), MemoryId(memory_id), if_version_of(request))
    return await show(request, record, version=record.version)


@memory_actions.put(
    "/memories/{memory_id:uuid}/pin",
    response_model=MemoryRecord,
    openapi_extra=access(Permission.MEMORY_WRITE, if_match=True),
)
async def pin(request: Request, memory_id: UUID, pin: PinRequest) -> Response:
    """Pin a memory, or unpin it."""
    patch = MemoryPatch(pinned=pin.pinned)
    record = await app_of(request).batches.update_one(
        caller_of(request), MemoryId(memory_id), patch, if_version_of(request)
    )
    return await show(request, record, version=record.version)


@memory_actions.post(
    "/memories/batch/update",
    response_model=Items[MemoryRecord],
    openapi_extra=access(Permission.MEMORY_WRITE, cost=5, items=True, body=BodyLimit.LARGE),
)
async def update_many(request: Request, batch: BatchUpdate) -> Response:
    """Change up to 1,000 memories: all of them or, if one cannot be changed, none."""
    caller = caller_of(request)
    if caller.require_if_match:
        require_versions("changes", [change.if_version for change in batch.changes])
    await charge_items(request, len(batch.changes))
    records = await app_of(request).batches.update(caller, batch.changes)
    return await show(request, Items(items=list(records)))


@memory_actions.post(
    "/memories/batch/delete",
    response_model=Deleted,
    openapi_extra=access(Permission.MEMORY_DELETE, cost=5, items=True, body=BodyLimit.NORMAL),
)
async def delete_many(request: Request, batch: BatchDelete) -> Response:
    """Delete up to 1,000 memories: all of them or, if one cannot be deleted, none."""
    caller = caller_of(request)
    if caller.require_if_match:
        require_versions("memories", [memory.if_version for memory in batch.memories])
    await charge_items(request, len(batch.memories))
    return answer(Deleted(deleted=await app_of(request).batches.delete(caller, batch.memories)))


@memory_actions.get(
    "/memories/duplicates",
    response_model=Items[NearDuplicate],
    openapi_extra=access(Permission.MEMORY_READ, cost=20, untimed=True),
)
async def duplicates(request: Request, query: Annotated[DuplicatesQuery, Query()]) -> Response:
    """Find pairs of memories of one scope that say almost the same."""
    pairs = await app_of(request).duplicates.find(caller_of(request), query.scope, query.threshold)
    return await tell(request, Items(items=list(pairs)))


@memory_actions.get("/stats", response_model=Stats, openapi_extra=access(Permission.MEMORY_READ))
async def stats(request: Request, query: Annotated[ScopeQuery, Query()]) -> Response:
    """Count the memories of a scope, or of the whole organization."""
    return answer(await app_of(request).memories.stats(caller_of(request), query.scope))
