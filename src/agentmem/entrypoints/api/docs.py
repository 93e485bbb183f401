"""The documentation that the server shows: the API in a browser, and what each error means; all from its own origin."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from importlib import resources
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from agentmem.entrypoints.api.matching import PERMISSION
from agentmem.entrypoints.api.problems import TYPES, title_of
from agentmem.entrypoints.api.skin import DOCS
from agentmem.errors import AgentMemError, RouteNotFound

_OPEN: Final[dict[str, Any]] = {PERMISSION: None}
_TYPES: Final = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
_COMPRESSED: Final = ("swagger-ui.css", "swagger-ui-bundle.js")
_PLAIN: Final = ("start.js", "errors.css")


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """A file of the pages, in both forms: unpacking it for each who asks would be work that a stranger gives us."""

    plain: bytes
    packed: bytes


@dataclass(frozen=True, kw_only=True)
class Docs:
    """The pages and their files, read once."""

    page: str
    errors: str
    files: dict[str, File]

    @classmethod
    def read(cls) -> Docs:
        """Read the files that come with the package."""
        folder = resources.files("agentmem.entrypoints.api") / "assets"
        packed = {name: (folder / f"{name}.gz").read_bytes() for name in _COMPRESSED}
        packed |= {name: gzip.compress((folder / name).read_bytes(), mtime=0) for name in _PLAIN}
        files = {name: File(plain=gzip.decompress(content), packed=content) for name, content in packed.items()}
        return cls(page=(folder / "docs.html").read_text("utf-8"), errors=_errors_page(), files=files)

    def router(self) -> APIRouter:
        """Make the routes of the pages; they are not part of the API that they describe."""
        made = APIRouter(include_in_schema=False)
        for path, handler in (
            (DOCS, self.show),
            (TYPES, self.show_errors),
            (f"{DOCS}/assets/{{name}}", self.give_file),
        ):
            made.add_api_route(path, handler, methods=["GET"], openapi_extra=_OPEN)
        return made

    async def show(self) -> Response:
        """Show the API."""
        return HTMLResponse(self.page)

    async def show_errors(self) -> Response:
        """Show what each error means."""
        return HTMLResponse(self.errors)

    async def give_file(self, name: str, request: Request) -> Response:
        """Give a file of the pages."""
        file = self.files.get(name)
        if file is None:
            raise RouteNotFound("The server has no such path.")
        headers = {"Cache-Control": "public, max-age=3600", "Vary": "Accept-Encoding"}
        content = file.plain
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            content = file.packed
        return Response(content, headers=headers, media_type=_TYPES[name.rsplit(".", 1)[-1]])


def openapi_router() -> APIRouter:
    """Make the route of the OpenAPI document."""
    made = APIRouter(include_in_schema=False)
    made.add_api_route("/openapi.json", Document().give, methods=["GET"], openapi_extra=_OPEN)
    return made


class Document:
    """The OpenAPI document, made when it is first asked for."""

    def __init__(self) -> None:
        self._written: bytes | None = None

    async def give(self, request: Request) -> Response:
        """Give the document."""
        if self._written is None:
            document = await asyncio.to_thread(request.app.openapi)
            self._written = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        return Response(self._written, media_type="application/json")


def _errors_page() -> str:
    rows = "\n".join(
        f'<tr id="{kind.code}"><td><code>{kind.code}</code></td><td>{kind.status}</td>'
        f"<td>{'yes' if kind.retryable else 'no'}</td><td>{escape(title_of(kind))}.</td></tr>"
        for kind in sorted(_kinds(AgentMemError), key=lambda kind: kind.code)
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>AgentMem errors</title>\n'
        '<link rel="icon" href="data:,">\n<link rel="stylesheet" href="/docs/assets/errors.css">\n</head>\n<body>\n'
        "<h1>Errors</h1>\n<table>\n<tr><th>Code</th><th>Status</th><th>Retry</th><th>Meaning</th></tr>\n"
        f"{rows}\n</table>\n</body>\n</html>\n"
    )


def _kinds(kind: type[AgentMemError]) -> Iterator[type[AgentMemError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _kinds(child)
