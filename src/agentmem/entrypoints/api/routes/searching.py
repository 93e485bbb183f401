"""Finding memories."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import access
from agentmem.entrypoints.api.gate import app_of, caller_of, router
from agentmem.entrypoints.api.telling import tell, tell_page
from agentmem.foundation.authorization.caller import Permission
from agentmem.pipelines.retrieval.pipeline import view_of
from agentmem.schemas.memories import MemoryRecord, PackedContext, Page, SearchResults
from agentmem.schemas.requests import ContextRequest, ListRequest, SearchRequest

searching = router("search")


@searching.post("/memories/search", response_model=SearchResults, openapi_extra=access(Permission.MEMORY_READ, cost=2))
async def search(request: Request, asked: SearchRequest) -> Response:
    """Find the memories that answer a query, best first, with scores from 0 to 1."""
    return await tell(request, await app_of(request).retrieval.search(caller_of(request), asked))


@searching.post("/memories/query", response_model=Page[MemoryRecord], openapi_extra=access(Permission.MEMORY_READ))
async def query(request: Request, asked: ListRequest) -> Response:
    """List memories in order, a page at a time, with the question in the body; filters may be long here."""
    page = await app_of(request).memories.page(
        caller_of(request), view_of(asked), asked.order, asked.cursor, asked.limit
    )
    return await tell_page(request, page)


@searching.post("/context", response_model=PackedContext, openapi_extra=access(Permission.MEMORY_READ, cost=2))
async def context(request: Request, asked: ContextRequest) -> Response:
    """Pack the memories that answer a query into a text of at most `budget` tokens, with citations."""
    return await tell(request, await app_of(request).retrieval.context(caller_of(request), asked))
