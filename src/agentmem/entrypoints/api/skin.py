"""The outermost layer: what every response carries, whatever made it, and the answer when something broke."""

from __future__ import annotations

import re
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentmem.entrypoints.api.context import RequestContext, bind_context
from agentmem.entrypoints.api.cors import Cors, RawHeaders
from agentmem.entrypoints.api.problems import problem
from agentmem.errors import AgentMemError
from agentmem.kit.ids import uuid7
from agentmem.kit.networks import Network, client_address, parse_address

log = structlog.get_logger(__name__)

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_NO_PEER: Final = IPv4Address("0.0.0.0")  # noqa: S104  # who asks over a Unix socket has no address
DOCS: Final = "/docs"

COMMON_HEADERS: Final = (
    (b"strict-transport-security", b"max-age=63072000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b""),
    (b"x-frame-options", b"DENY"),
)
API_HEADERS: Final = (
    *COMMON_HEADERS,
    (
        b"content-security-policy",
        b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (b"cache-control", b"no-store"),
)
_DOCS_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
DOCS_HEADERS: Final = (
    *COMMON_HEADERS,
    (b"content-security-policy", _DOCS_POLICY),
    (b"cache-control", b"no-cache"),
)


@dataclass(frozen=True, kw_only=True)
class Skin:
    """Gives each request its id, and each response its security headers, its CORS headers and its id.

    It stands outside everything: also a fault of another layer is answered by a problem here.
    """

    app: ASGIApp
    cors: Cors
    trusted: Sequence[Network]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        context = RequestContext(request_id=_request_id(headers), address=self._address(scope))
        bind_context(scope, context)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=context.request_id)
        origin = headers.get(b"origin")
        started = False

        async def dressed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = self._dress(scope["path"], context, origin, list(message.get("headers", ())))
            await send(message)

        if scope["method"] == "OPTIONS" and origin is not None and b"access-control-request-method" in headers:
            await _answer_preflight(self.cors.preflight(origin), dressed)
            return
        try:
            await self.app(scope, receive, dressed)
        except Exception as fault:  # noqa: BLE001  # the rim of the server: nothing passes it
            log.error(  # noqa: TRY400  # a traceback's message may hold content
                "request_failed", error=type(fault).__name__, at=_where(fault), route=context.route
            )
            if not started:
                answer = problem(AgentMemError("The server failed."), context.request_id, instance=context.instance)
                await answer(scope, receive, dressed)

    def _address(self, scope: Scope) -> IPv4Address | IPv6Address:
        client = scope.get("client")
        if client is None:
            return _NO_PEER
        try:
            peer = parse_address(str(client[0]))
        except ValueError:
            return _NO_PEER
        if not self.trusted:
            return peer
        lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        return client_address(peer, lines, self.trusted)

    def _dress(self, path: str, context: RequestContext, origin: bytes | None, headers: RawHeaders) -> RawHeaders:
        given = {name.lower() for name, _ in headers}
        preset = DOCS_HEADERS if path == DOCS or path.startswith(f"{DOCS}/") else API_HEADERS
        headers.extend(pair for pair in preset if pair[0] not in given)
        headers.extend(
            (name.lower().encode(), value.encode("latin-1"))
            for name, value in context.headers.items()
            if name.lower().encode() not in given
        )
        headers.extend(self.cors.headers(origin))
        headers.append((b"x-request-id", context.request_id.encode()))
        if context.close:
            headers.append((b"connection", b"close"))
        return headers


def _request_id(headers: dict[bytes, bytes]) -> str:
    """Take the id that the client gave, if it is one that may be written into a log."""
    given = headers.get(b"x-request-id", b"")
    return given.decode() if _REQUEST_ID.fullmatch(given) else f"req_{uuid7().hex}"


async def _answer_preflight(headers: RawHeaders, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _where(fault: BaseException) -> list[str]:
    """Name the innermost places that a fault passed: no message, for that may hold content."""
    frames = traceback.extract_tb(fault.__traceback__)[-5:]
    return [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in frames]
