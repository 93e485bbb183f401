"""What a server takes at once: so many requests, for so long each; the rest is told to come again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentmem.entrypoints.api.context import RouteRules, context_of
from agentmem.entrypoints.api.problems import problem
from agentmem.entrypoints.api.turns import RETRY_AFTER, Turn, Turns
from agentmem.errors import AgentMemError, DeadlineExceeded, HeaderTooLarge, Overloaded
from agentmem.foundation.resilience.deadline import deadline
from agentmem.kit.networks import network_of
from agentmem.settings import Settings

MOST_HEADER_BYTES: Final = 32 * 1024
_SHARES: Final = 4
"""One organization has a quarter of what may take any time at once."""


@dataclass(frozen=True, kw_only=True)
class Overload:
    """Bounds the requests in flight, those that wait, and the time of each.

    A request has a turn of its address at the ``door`` until it is known who is asking, and then one of its
    organization, to be ``working`` or, on a route that may take any time, to be ``moving``: whoever moves a lot, or
    reads slowly, takes no turn from those who ask. ``rules_of`` gives the rules of the route that a scope is for.
    """

    app: ASGIApp
    door: Turns
    working: Turns
    moving: Turns
    rules_of: Callable[[Scope], RouteRules]

    @classmethod
    def of(cls, settings: Settings, app: ASGIApp, rules_of: Callable[[Scope], RouteRules]) -> Overload:
        """Make the layer with the bounds that the settings name."""
        share, queued = settings.max_in_flight_organization, settings.max_queued
        return cls(
            app=app,
            door=Turns(most=settings.max_in_flight, share=share, most_queued=queued),
            working=Turns(most=settings.max_in_flight, share=share, most_queued=queued),
            moving=Turns(most=settings.max_streams, share=-(-settings.max_streams // _SHARES), most_queued=queued),
            rules_of=rules_of,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        rules = self.rules_of(scope)
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MOST_HEADER_BYTES:
            error = HeaderTooLarge(f"The headers are longer than {MOST_HEADER_BYTES} bytes.")
            await refuse(error, scope, receive, send)
        elif rules.exempt:
            await self.app(scope, receive, send)
        else:
            await self._in_turn(rules, scope, receive, send)

    async def _in_turn(self, rules: RouteRules, scope: Scope, receive: Receive, send: Send) -> None:
        context = context_of(scope)
        turn = context.turn = Turn(door=self.door, inside=self.moving if rules.seconds is None else self.working)
        try:
            await turn.begin(network_of(context.address))
        except Overloaded as error:
            await refuse(error, scope, receive, send)
            return
        try:
            await self._within_time(rules.seconds, scope, receive, send)
        finally:
            turn.end()

    async def _within_time(self, seconds: float | None, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        timeout = asyncio.timeout(seconds)
        try:
            async with timeout:
                with deadline(seconds):  # what is asked of others ends before
                    await self.app(scope, receive, sending)
        except TimeoutError:
            # An answer that has begun cannot become another one: the connection is cut.
            if not timeout.expired() or started:
                raise
            error = DeadlineExceeded(
                f"The request took longer than {seconds:g} seconds; whether it was done is not known.",
                hint="Send it again with the same Idempotency-Key, or ask what is stored.",
                retry_after=RETRY_AFTER,
            )
            await refuse(error, scope, receive, send)


async def refuse(error: AgentMemError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request by an error, and end its connection, since its body was not read."""
    context = context_of(scope)
    context.close = True
    context.code = error.code
    await problem(error, context.request_id, instance=context.instance)(scope, receive, send)
