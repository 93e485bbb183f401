"""What a server takes at once: so many requests, for so long each; the rest is told to come again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentmem.entrypoints.api.context import context_of
from agentmem.entrypoints.api.problems import problem
from agentmem.errors import AgentMemError, DeadlineExceeded, HeaderTooLarge, Overloaded

MOST_HEADER_BYTES: Final = 32 * 1024
LONGEST_WAIT: Final = 5.0
"""Seconds a request may wait for its turn; a client that waits longer would rather be told."""
_RETRY_AFTER: Final = 1.0


@dataclass(kw_only=True, slots=True)
class Turns:
    """Who is being worked on and who waits; made by the server, one for its life."""

    free: asyncio.Semaphore
    queued: int = 0


@dataclass(frozen=True, kw_only=True)
class Overload:
    """Bounds the requests in flight, those that wait, and the time of each.

    ``seconds_of`` gives the time that the request of a scope may take, ``None`` for any; ``exempt`` tells which
    requests pass at once, whatever else is going on.
    """

    app: ASGIApp
    turns: Turns
    max_queued: int
    seconds_of: Callable[[Scope], float | None]
    exempt: Callable[[Scope], bool]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MOST_HEADER_BYTES:
            await refuse(
                HeaderTooLarge(f"The headers are longer than {MOST_HEADER_BYTES} bytes."), scope, receive, send
            )
        elif self.exempt(scope):
            await self.app(scope, receive, send)
        elif await self._has_turn():
            try:
                await self._within_time(scope, receive, send)
            finally:
                self.turns.free.release()
        else:
            error = Overloaded("The server has as many requests as it can take.", retry_after=_RETRY_AFTER)
            await refuse(error, scope, receive, send)

    async def _has_turn(self) -> bool:
        """Wait for a turn; refused at once when too many wait already."""
        turns = self.turns
        if not turns.free.locked():
            return await turns.free.acquire()
        if turns.queued >= self.max_queued:
            return False
        turns.queued += 1
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                return await turns.free.acquire()
        except TimeoutError:
            return False
        finally:
            turns.queued -= 1

    async def _within_time(self, scope: Scope, receive: Receive, send: Send) -> None:
        seconds = self.seconds_of(scope)
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        deadline = asyncio.timeout(seconds)
        try:
            async with deadline:
                await self.app(scope, receive, sending)
        except TimeoutError:
            # An answer that has begun cannot become another one: the connection is cut.
            if not deadline.expired() or started:
                raise
            error = DeadlineExceeded(
                f"The request took longer than {seconds:g} seconds; whether it was done is not known.",
                hint="Send it again with the same Idempotency-Key, or ask what is stored.",
                retry_after=_RETRY_AFTER,
            )
            await refuse(error, scope, receive, send)


async def refuse(error: AgentMemError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request by an error, and end its connection, since its body was not read."""
    context = context_of(scope)
    context.close = True
    context.code = error.code
    await problem(error, context.request_id, instance=context.instance)(scope, receive, send)
