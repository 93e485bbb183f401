"""Limits of request bodies: how long they may be, counted while they arrive, and how long they may take to arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentmem.entrypoints.api.context import context_of
from agentmem.entrypoints.api.problems import problem
from agentmem.errors import AgentMemError, Fault, MalformedRequest, RequestTimeout, RequestTooLarge

SMALL_BYTES: Final = 64 * 1024
BATCH_FACTOR: Final = 4
_LINGER_SECONDS: Final = 2.0
_LINGER_BYTES: Final = 64 * 1024 * 1024
_UNBOUNDED: Final = 1 << 62


class BodyLimit(StrEnum):
    """How long a route's bodies may be: 64 KiB, the setting ``max_body_bytes``, four times that, or any length."""

    SMALL = "small"
    NORMAL = "normal"
    LARGE = "large"
    UNBOUNDED = "unbounded"

    def bytes(self, max_body_bytes: int) -> int:
        """Give the limit in bytes."""
        match self:
            case BodyLimit.SMALL:
                return min(SMALL_BYTES, max_body_bytes)
            case BodyLimit.NORMAL:
                return max_body_bytes
            case BodyLimit.LARGE:
                return BATCH_FACTOR * max_body_bytes
            case BodyLimit.UNBOUNDED:
                return _UNBOUNDED


@dataclass(frozen=True, kw_only=True)
class Bodies:
    """Refuses a body that is too long or too slow, whatever the application behind makes of it.

    ``limit_of`` gives the limit in bytes of a scope's request; ``seconds`` may pass between two parts.
    """

    app: ASGIApp
    limit_of: Callable[[Scope], int]
    seconds: float

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        headers = {name: value for name, value in scope["headers"] if name in _DESCRIBING}
        if not headers:
            await self.app(scope, receive, send)
            return
        limit = self.limit_of(scope)
        try:
            declared = _declared(headers.get(b"content-length"))
            if declared > limit:
                raise _too_large(limit)
        except AgentMemError as error:
            await _refuse(error, scope, receive, send, linger=headers.get(b"expect") is None)
            return
        body = _Body(receive=receive, limit=limit, seconds=self.seconds)
        gate = _Answer(send=send, body=body)
        try:
            await self.app(scope, body.next, gate.send_unless_refused)
        except AgentMemError:
            if body.error is None:
                raise
        if body.error is not None and not gate.started:
            await _refuse(body.error, scope, receive, send, linger=isinstance(body.error, RequestTooLarge))


@dataclass(kw_only=True, slots=True)
class _Body:
    """The body as it arrives; ``error`` is what was wrong with it."""

    receive: Receive
    limit: int
    seconds: float
    read: int = 0
    complete: bool = False
    error: AgentMemError | None = None

    async def next(self) -> Message:
        if self.error is not None:
            raise self.error
        if self.complete:
            return await self.receive()
        try:
            async with asyncio.timeout(self.seconds):
                message = await self.receive()
        except TimeoutError:
            self.error = RequestTimeout(
                f"No part of the body arrived for {self.seconds:g} seconds.", hint="Nothing was stored; send it again."
            )
            raise self.error from None
        if message["type"] == "http.disconnect":
            self.error = RequestTimeout("The client left before the body was whole.")
            raise self.error
        self.read += len(message.get("body", b""))
        self.complete = not message.get("more_body", False)
        if self.read > self.limit:
            self.error = _too_large(self.limit)
            raise self.error
        return message


@dataclass(kw_only=True, slots=True)
class _Answer:
    """What the application answers; dropped once its request was refused, for the refusal is the answer then."""

    send: Send
    body: _Body
    started: bool = field(default=False)

    async def send_unless_refused(self, message: Message) -> None:
        if self.body.error is not None and not self.started:
            return
        self.started = True
        await self.send(message)


_DESCRIBING: Final = frozenset({b"content-length", b"transfer-encoding", b"expect"})


def _declared(content_length: bytes | None) -> int:
    if content_length is None:
        return 0
    if not content_length.isdigit() or len(content_length) > 18:
        raise MalformedRequest("The header Content-Length is not a number of bytes.")
    return int(content_length)


def _too_large(limit: int) -> RequestTooLarge:
    message = f"is longer than {limit} bytes"
    return RequestTooLarge(
        f"The body {message}.",
        hint="Send less at once; an import takes any length.",
        faults=[Fault(field="body", message=message)],
    )


async def _refuse(error: AgentMemError, scope: Scope, receive: Receive, send: Send, *, linger: bool) -> None:
    """Send the refusal and end the connection.

    A connection that is closed on a client that still sends loses the answer: what comes is thrown away for a while.
    """
    context = context_of(scope)
    context.close = True
    context.code = error.code
    response = problem(error, context.request_id, instance=context.instance)
    await send({"type": "http.response.start", "status": response.status_code, "headers": list(response.raw_headers)})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    if linger:
        await _throw_away(receive)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _throw_away(receive: Receive) -> None:
    seen = 0
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            while seen < _LINGER_BYTES:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
                seen += len(message.get("body", b""))
    except TimeoutError:
        return
