"""Views of memories as responses: masked and written down as the caller's organization says."""

from __future__ import annotations

from http import HTTPStatus
from typing import TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.answers import answer
from agentmem.entrypoints.api.gate import app_of, caller_of
from agentmem.entrypoints.api.paging import page_answer
from agentmem.schemas.memories import Page

Item = TypeVar("Item")


async def tell(request: Request, view: BaseModel, *, version: int | None = None) -> Response:
    """Answer a read of memories."""
    return answer(await app_of(request).disclosure.tell(caller_of(request), view), version=version)


async def tell_page(request: Request, page: Page[Item]) -> Response:
    """Answer a read of memories with a page."""
    return page_answer(request, await app_of(request).disclosure.tell(caller_of(request), page))


async def show(
    request: Request, view: BaseModel, status: int = HTTPStatus.OK, *, version: int | None = None
) -> Response:
    """Answer a change of memories with what they are now."""
    return answer(await app_of(request).disclosure.show(caller_of(request), view), status, version=version)
