"""State that goes on without Redis: each process then counts by itself until Redis answers again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final, TypeVar

import structlog

from agentmem.errors import StateUnavailable
from agentmem.foundation.state.memory import Mailbox, MemoryState
from agentmem.foundation.state.port import Admission, Quota, State

Result = TypeVar("Result")

_PROBE_EVERY: Final = 1.0
"""Seconds for which a state that failed is left alone: one call in each of them asks it again."""

log = structlog.get_logger(__name__)


def unheard() -> None:
    """Nobody counts the fallbacks."""


class FallbackState:
    """Asks the shared state, and a local one while the shared one does not answer: nothing fails.

    Meanwhile quotas hold for each process alone, messages reach this process only, and cached values are missed.
    ``fell_back`` is called for each call that the local state answered.
    """

    def __init__(
        self,
        primary: State,
        local: MemoryState,
        *,
        clock: Callable[[], float] = monotonic,
        fell_back: Callable[[], None] = unheard,
    ) -> None:
        self._primary = primary
        self._local = local
        self._clock = clock
        self._fell_back = fell_back
        self._down_until: float | None = None

    async def take(self, tag: str, quotas: Sequence[Quota], cost: int) -> Admission:
        """Charge all quotas, or none; see :meth:`State.take`."""
        return await self._either(
            lambda: self._primary.take(tag, quotas, cost), lambda: self._local.take(tag, quotas, cost)
        )

    async def publish(self, channel: str, message: str) -> None:
        """Send a message; without the shared state to this process alone."""
        await self._either(
            lambda: self._primary.publish(channel, message), lambda: self._local.publish(channel, message)
        )

    @asynccontextmanager
    async def subscribe(self, channel: str) -> AsyncIterator[AsyncIterator[str]]:
        """Listen to a channel of both states; see :meth:`State.subscribe`."""
        both = Mailbox()
        async with self._primary.subscribe(channel) as shared, self._local.subscribe(channel) as own:
            copying = [asyncio.create_task(_copy(messages, both)) for messages in (shared, own)]
            try:
                yield both.read()
            finally:
                for task in copying:
                    task.cancel()
                await asyncio.gather(*copying, return_exceptions=True)

    async def get(self, tag: str, key: str) -> bytes | None:
        """Give a kept value; see :meth:`State.get`."""
        return await self._either(lambda: self._primary.get(tag, key), lambda: self._local.get(tag, key))

    async def put(self, tag: str, key: str, value: bytes, *, seconds: float) -> None:
        """Keep a value; see :meth:`State.put`."""
        await self._either(
            lambda: self._primary.put(tag, key, value, seconds=seconds),
            lambda: self._local.put(tag, key, value, seconds=seconds),
        )

    async def ping(self) -> None:
        """Raise :class:`StateUnavailable` while the shared state does not answer, though every other call does."""
        await self._primary.ping()

    async def aclose(self) -> None:
        """Close both states."""
        await self._local.aclose()
        await self._primary.aclose()

    async def _either(self, ask: Callable[[], Awaitable[Result]], instead: Callable[[], Awaitable[Result]]) -> Result:
        was_down = self._down_until is not None
        if self._down_until is None or self._clock() >= self._down_until:
            if was_down:  # one call probes; until it knows, the others do not wait
                self._down_until = self._clock() + _PROBE_EVERY
            try:
                result = await ask()
            except StateUnavailable as error:
                if not was_down:
                    log.warning("state_fell_back", reason=error.message)
                self._down_until = self._clock() + _PROBE_EVERY
            else:
                if was_down:
                    log.warning("state_is_back")
                    self._down_until = None
                return result
        self._fell_back()
        return await instead()


async def _copy(messages: AsyncIterator[str], mailbox: Mailbox) -> None:
    async for message in messages:
        mailbox.put(message)
    mailbox.put(None)
