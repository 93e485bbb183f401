"""Memories, one by one."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import access
from agentmem.entrypoints.api.answers import answer, nothing
from agentmem.entrypoints.api.bodies import BodyLimit
from agentmem.entrypoints.api.charging import charge_items
from agentmem.entrypoints.api.etags import not_modified
from agentmem.entrypoints.api.gate import app_of, caller_of, if_version_of, router
from agentmem.entrypoints.api.idempotency import key_of
from agentmem.entrypoints.api.telling import show, tell, tell_page
from agentmem.foundation.authorization.caller import Permission
from agentmem.kit.ids import MemoryId
from agentmem.pipelines.ingestion.drafts import drafts_of_call
from agentmem.pipelines.retrieval.pipeline import view_of
from agentmem.schemas.keywords import Given
from agentmem.schemas.memories import Added, Deleted, MemoryPatch, MemoryRecord, Page
from agentmem.schemas.queries import ListQuery, MomentQuery, ScopeQuery
from agentmem.schemas.requests import AddRequest

memories = router("memories")


@memories.post(
    "/memories",
    response_model=Added,
    status_code=HTTPStatus.CREATED,
    openapi_extra=access(Permission.MEMORY_WRITE, cost=2, items=True, body=BodyLimit.LARGE, resumable=True),
)
async def add(request: Request, new: AddRequest) -> Response:
    """Remember a text, the messages of a conversation, or whole memories: all of it or, if it fails, nothing.

    Messages of one call, or with one `run_id`, are neighbours of a conversation. A text that its scope holds already is
    not stored again, unless `on_duplicate` is `keep`.
    """
    items = items_of(new)
    await charge_items(request, len(items) if isinstance(items, list) else 1)
    drafts = drafts_of_call(items, attributes_of(new), new.on_duplicate)
    added = await app_of(request).ingestion.add(caller_of(request), drafts, key_of(request))
    return await show(request, added, HTTPStatus.CREATED)


@memories.get("/memories", name="list", response_model=Page[MemoryRecord], openapi_extra=access(Permission.MEMORY_READ))
async def list_memories(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """List memories in order, a page at a time.

    `filters` is a filter as JSON text; a long one goes into the body of `POST /v1/memories/query`.
    """
    listed = query.listed
    page = await app_of(request).memories.page(
        caller_of(request), view_of(listed), listed.order, listed.cursor, listed.limit
    )
    return await tell_page(request, page)


@memories.delete(
    "/memories", response_model=Deleted, openapi_extra=access(Permission.MEMORY_DELETE, cost=2, untimed=True)
)
async def delete_all(request: Request, query: Annotated[ScopeQuery, Query()]) -> Response:
    """Delete all memories of a scope; at least one id must be given."""
    return answer(await app_of(request).ingestion.delete_all(caller_of(request), query.scope))


@memories.get("/memories/{memory_id:uuid}", response_model=MemoryRecord, openapi_extra=access(Permission.MEMORY_READ))
async def get(request: Request, memory_id: UUID, query: Annotated[MomentQuery, Query()]) -> Response:
    """Read one memory, with its version as `ETag`."""
    record = await app_of(request).memories.get(caller_of(request), MemoryId(memory_id), view_of(query.request))
    return not_modified(request, record.version) or await tell(request, record, version=record.version)


@memories.patch(
    "/memories/{memory_id:uuid}",
    response_model=MemoryRecord,
    openapi_extra=access(Permission.MEMORY_WRITE, cost=2, body=BodyLimit.NORMAL, if_match=True),
)
async def update(request: Request, memory_id: UUID, patch: MemoryPatch) -> Response:
    """Change a memory by adding a version; what is not given stays as it is."""
    record = await app_of(request).batches.update_one(
        caller_of(request), MemoryId(memory_id), patch, if_version_of(request)
    )
    return await show(request, record, version=record.version)


@memories.delete(
    "/memories/{memory_id:uuid}",
    status_code=HTTPStatus.NO_CONTENT,
    openapi_extra=access(Permission.MEMORY_DELETE, if_match=True),
)
async def delete(request: Request, memory_id: UUID) -> Response:
    """Delete a memory; it can be restored until it is purged."""
    await app_of(request).memories.delete(caller_of(request), MemoryId(memory_id), if_version_of(request))
    return nothing()


def items_of(new: AddRequest) -> Given | list[Given]:
    """Give what is to be remembered, without what stands for all of it."""
    if new.content is not None:
        return new.content
    if new.messages is not None:
        return list(new.messages)
    return [memory.model_dump(exclude_unset=True) for memory in new.memories or ()]


def attributes_of(new: AddRequest) -> dict[str, object]:
    """Give what is said of every item that does not say it itself."""
    return new.model_dump(exclude_unset=True, exclude={"content", "messages", "memories", "on_duplicate"})
