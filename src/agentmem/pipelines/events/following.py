"""Following: an organization's events as they happen, for as long as their reader may read them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Final

from agentmem.features.events.service import EventService
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.state.port import State
from agentmem.pipelines.events.relay import channel_of
from agentmem.schemas.events import Event, fits

READ_AT_ONCE: Final = 200
TICK: Final = 0.2
"""Seconds between two looks whether the reader may go on: with what is believed of its key, less than a second."""
LOOK_AGAIN: Final = 2.0
"""Seconds after which events are looked for though nobody was woken: a message may have been lost."""
HEARTBEAT: Final = 15.0
"""Seconds without an event after which the reader is told that it is still connected, and how far it is."""
FOLLOW_AGAIN: Final = 3600.0
"""Seconds after which it is said again that somebody follows, long before that is forgotten."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """How far a reader is: everything up to here it has had, or did not ask for."""

    sequence: int


@dataclass(frozen=True, kw_only=True)
class Following:
    """Streams of events."""

    events: EventService
    state: State
    look_again: float = LOOK_AGAIN

    async def follow(
        self, caller: Caller, after: int | None, types: Sequence[str], ended: Callable[[], bool]
    ) -> AsyncGenerator[Event | Place, None]:
        """Give the events after a place that are of these types, as they happen; by default all from now on.

        Says first, and now and then, how far it is. Ends when ``ended`` says so and what is there was told; raises what
        a new call of this caller would, within a second, and :class:`EventsGone`.
        """
        async with self._woken(caller) as woken:
            place = await self.events.follow(caller, after)
            yield Place(sequence=place)
            followed = looked = told = monotonic()
            more = True
            while more or not ended():
                await caller.now()
                if more or woken.is_set() or monotonic() - looked >= self.look_again:
                    woken.clear()
                    found = await self.events.read(caller, place, READ_AT_ONCE)
                    looked, more = monotonic(), len(found) == READ_AT_ONCE
                    for event in found:
                        place = event.sequence
                        if fits(types, event.type):
                            yield event
                            told = monotonic()
                if monotonic() - told >= HEARTBEAT:
                    yield Place(sequence=place)
                    told = monotonic()
                if monotonic() - followed >= FOLLOW_AGAIN:
                    await self.events.follow(caller, place)
                    followed = monotonic()
                if not more and not ended():
                    await _wait(woken)

    @asynccontextmanager
    async def _woken(self, caller: Caller) -> AsyncIterator[asyncio.Event]:
        """Give what is set whenever there may be something to read, from before the first look on."""
        woken = asyncio.Event()
        async with self.state.subscribe(channel_of(caller.organization_id)) as messages:
            hearing = asyncio.create_task(_hear(messages, woken))
            try:
                yield woken
            finally:
                hearing.cancel()
                await asyncio.gather(hearing, return_exceptions=True)


async def _hear(messages: AsyncIterator[str], woken: asyncio.Event) -> None:
    async for _ in messages:
        woken.set()


async def _wait(woken: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(TICK):
            await woken.wait()
    except TimeoutError:
        return
