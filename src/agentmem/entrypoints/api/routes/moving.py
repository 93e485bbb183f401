"""Memories in and out, as JSON Lines of any length."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import access
from agentmem.entrypoints.api.answers import answer
from agentmem.entrypoints.api.bodies import BodyLimit
from agentmem.entrypoints.api.charging import charged
from agentmem.entrypoints.api.gate import app_of, caller_of, router
from agentmem.entrypoints.api.lines import check_lines, lines_of, streamed
from agentmem.foundation.authorization.caller import Permission
from agentmem.schemas.memories import Imported
from agentmem.schemas.queries import ImportQuery, ScopeQuery

moving = router("moving")


@moving.post(
    "/memories/import",
    name="import_",
    response_model=Imported,
    openapi_extra=access(Permission.MEMORY_WRITE, cost=20, items=True, body=BodyLimit.UNBOUNDED, untimed=True),
)
async def import_memories(request: Request, query: Annotated[ImportQuery, Query()]) -> Response:
    """Store what an export wrote, or memories and messages, one JSON value a line; read and stored as it arrives.

    Memories that are there already are passed over. When a line is at fault, the batches before it are stored: mend
    the line and import again.
    """
    check_lines(request)
    transfer = app_of(request).transfer
    lines = charged(request, lines_of(request.stream(), transfer.longest_line))
    return answer(await transfer.import_lines(caller_of(request), lines, query.attributes))


@moving.get("/memories/export", openapi_extra=access(Permission.MEMORY_READ, cost=20, untimed=True))
async def export(request: Request, query: Annotated[ScopeQuery, Query()]) -> Response:
    """Write the memories of a scope with their histories, one JSON object a line, without loss."""
    app, caller = app_of(request), caller_of(request)
    return await streamed(app.disclosure.lines(caller, app.transfer.export(caller, query.scope)))
