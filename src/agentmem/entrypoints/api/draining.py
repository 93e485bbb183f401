"""Stopping without cutting anybody off: what is in flight is counted, and connections end with their answers."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentmem.entrypoints.api.context import context_of


@dataclass(kw_only=True, slots=True)
class Draining:
    """Whether the server is about to stop, and how many requests it is working on."""

    begun: bool = False
    in_flight: int = 0


@dataclass(frozen=True, kw_only=True)
class Drained:
    """Counts requests; while the server drains, each answer ends its connection, so that nobody sends on it again."""

    app: ASGIApp
    draining: Draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_last(message: Message) -> None:
            # Looked at when the answer begins: the server may have begun to stop while it was made.
            if message["type"] == "http.response.start" and self.draining.begun:
                context_of(scope).close = True
            await send(message)

        self.draining.in_flight += 1
        try:
            await self.app(scope, receive, send_last)
        finally:
            self.draining.in_flight -= 1
