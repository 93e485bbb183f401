"""What every response of a server carries, whatever made it."""

from __future__ import annotations

import re
from typing import Final

import httpx

from agentmem.entrypoints.api.skin import API_HEADERS, DOCS_HEADERS

PROBLEM: Final = "application/problem+json"
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")


def assert_dressed(response: httpx.Response, *, docs: bool = False) -> None:
    """Check what every response carries."""
    for name, value in DOCS_HEADERS if docs else API_HEADERS:
        if name == b"cache-control" and docs:
            continue
        assert response.headers.get(name.decode()) == value.decode(), (response.request.url, name)
    assert "server" not in response.headers
    assert "Origin" in response.headers["vary"]
    assert REQUEST_ID.fullmatch(response.headers["x-request-id"])
    if response.status_code >= 400:
        assert response.headers["content-type"] == PROBLEM, response.request.url
        problem = response.json()
        assert problem["status"] == response.status_code
        assert problem["request_id"] == response.headers["x-request-id"]
        assert {"type", "title", "detail", "code"} <= set(problem)
