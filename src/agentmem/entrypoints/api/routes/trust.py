"""How far memories are trusted: where they come from, promotion, and undoing what should not have been remembered."""

from __future__ import annotations

from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import access
from agentmem.entrypoints.api.answers import answer
from agentmem.entrypoints.api.gate import app_of, caller_of, if_version_of, router
from agentmem.entrypoints.api.telling import show
from agentmem.foundation.authorization.caller import Permission
from agentmem.kit.ids import MemoryId
from agentmem.schemas.memories import MemoryRecord, Provenance
from agentmem.schemas.provenance import Promotion, Rollback, Taint, Undone

trust = router("memories")


@trust.get(
    "/memories/{memory_id:uuid}/provenance",
    response_model=Provenance,
    openapi_extra=access(Permission.MEMORY_READ),
)
async def provenance(request: Request, memory_id: UUID) -> Response:
    """Read who wrote a memory, with which key, and from what; deleted memories have it too."""
    return answer(await app_of(request).trusting.trust.provenance(caller_of(request), MemoryId(memory_id)))


@trust.post(
    "/memories/{memory_id:uuid}/promote",
    response_model=MemoryRecord,
    openapi_extra=access(Permission.MEMORY_PROMOTE, if_match=True),
)
async def promote(request: Request, memory_id: UUID, promotion: Promotion) -> Response:
    """Trust a memory further than before, and no further than who promotes it."""
    record = await app_of(request).trusting.trust.promote(
        caller_of(request), MemoryId(memory_id), promotion, if_version_of(request)
    )
    return await show(request, record, version=record.version)


@trust.post(
    "/memories/taint", response_model=Undone, openapi_extra=access(Permission.MEMORY_MAINTAIN, cost=20, untimed=True)
)
async def taint(request: Request, named: Taint) -> Response:
    """Take what is no longer believed, and what was derived from it, out of every read; by default only count it."""
    return answer(await app_of(request).trusting.taint(caller_of(request), named))


@trust.post(
    "/memories/rollback",
    response_model=Undone,
    openapi_extra=access(Permission.MEMORY_MAINTAIN, cost=20, untimed=True),
)
async def rollback(request: Request, asked: Rollback) -> Response:
    """Take the memories of a scope, or all, back to what they were at a moment; by default only count them."""
    return answer(await app_of(request).trusting.roll_back(caller_of(request), asked))
