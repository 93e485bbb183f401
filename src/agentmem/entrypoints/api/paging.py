"""Pages of lists, and the way to the next one."""

from __future__ import annotations

from http import HTTPStatus
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from agentmem.entrypoints.api.answers import answer
from agentmem.entrypoints.api.gate import address_of
from agentmem.schemas.memories import Page

Item = TypeVar("Item")


def page_answer(request: Request, page: Page[Item]) -> Response:
    """Write a page; the header ``Link`` names the next one, where there is one and the list is asked for by URL."""
    headers = {}
    if page.next_cursor is not None and request.method == "GET":
        url = request.url.include_query_params(cursor=page.next_cursor)
        headers["Link"] = f'<{address_of(request, f"{url.path}?{url.query}")}>; rel="next"'
    return answer(page, HTTPStatus.OK, headers=headers)
