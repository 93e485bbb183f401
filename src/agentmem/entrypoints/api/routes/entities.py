"""The users, agents, runs and apps that memories belong to."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import access
from agentmem.entrypoints.api.gate import app_of, caller_of, router
from agentmem.entrypoints.api.paging import page_answer
from agentmem.foundation.authorization.caller import Permission
from agentmem.schemas.entities import EntityKind, EntitySeen
from agentmem.schemas.memories import Page
from agentmem.schemas.queries import EntitiesQuery

entities = router("memories")


@entities.get(
    "/entities/{kind}",
    name="entities",
    response_model=Page[EntitySeen],
    openapi_extra=access(Permission.MEMORY_READ, cost=2),
)
async def seen(request: Request, kind: EntityKind, query: Annotated[EntitiesQuery, Query()]) -> Response:
    """List the ids of one kind that memories of a scope belong to, with their counts, a page at a time."""
    page = await app_of(request).entities.page(caller_of(request), kind, query.scope, query.cursor, query.limit)
    return page_answer(request, page)
