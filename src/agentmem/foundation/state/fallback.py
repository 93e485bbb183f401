"""State that goes on without Redis: each process then counts by itself until Redis answers again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from agentmem.errors import DeadlineExceeded, StateUnavailable
from agentmem.foundation.resilience.breaker import BreakerRules
from agentmem.foundation.resilience.guarded import Guard, Guarded
from agentmem.foundation.resilience.retry import RetryPolicy
from agentmem.foundation.state.memory import Mailbox, MemoryState
from agentmem.foundation.state.port import Admission, Quota, State
from agentmem.foundation.telemetry.watchers import unheard

Result = TypeVar("Result")

REDIS: Final = Guard(
    name="redis",
    what="Redis",
    error=StateUnavailable,
    seconds=1.0,
    # As many connections: more would only wait inside Redis.
    most=32,
    waiting=1024,
    # There is a fallback that costs nothing: it is left alone early, and looked after every second.
    breaker=BreakerRules(failures=3, open_seconds=1.0, successes=1),
    retry=RetryPolicy(attempts=2, base=0.02, cap=0.1),
)


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
        guarded: Guarded | None = None,
        fell_back: Callable[[], None] = unheard,
    ) -> None:
        self._primary = primary
        self._local = local
        self._guarded = guarded or Guarded(REDIS)
        self._fell_back = fell_back

    async def take(self, tag: str, quotas: Sequence[Quota], cost: int) -> Admission:
        """Charge all quotas, or none; see :meth:`State.take`."""
        return await self._either(
            lambda: self._primary.take(tag, quotas, cost),
            lambda: self._local.take(tag, quotas, cost),
            idempotent=False,
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

    async def once(self, tag: str, key: str, value: bytes, *, seconds: float) -> bytes | None:
        """Keep a value unless there is one; only the shared state can tell, see :meth:`State.once`."""
        # Not asked twice: the first question may have been heard though its answer was lost.
        return await self._guarded.call(lambda: self._primary.once(tag, key, value, seconds=seconds), idempotent=False)

    async def pop(self, tag: str, key: str) -> bytes | None:
        """Give a kept value and forget it, wherever it was put; see :meth:`State.pop`."""
        own = await self._local.pop(tag, key)
        # Not asked twice: the first question may have taken the value though its answer was lost.
        shared = await self._either(
            lambda: self._primary.pop(tag, key), lambda: self._local.pop(tag, key), idempotent=False
        )
        return shared or own

    async def lock(self, tag: str, name: str, token: str, *, seconds: float) -> bool:
        """Take a lock, or extend it; without the shared state among the tasks of this process alone."""
        return await self._either(
            lambda: self._primary.lock(tag, name, token, seconds=seconds),
            lambda: self._local.lock(tag, name, token, seconds=seconds),
        )

    async def unlock(self, tag: str, name: str, token: str) -> bool:
        """Release a lock, wherever it was taken."""
        had = await self._local.unlock(tag, name, token)
        shared = await self._either(
            lambda: self._primary.unlock(tag, name, token), lambda: self._local.unlock(tag, name, token)
        )
        return had or shared

    async def ping(self) -> None:
        """Raise :class:`StateUnavailable` while the shared state does not answer, though every other call does."""
        await self._primary.ping()

    async def aclose(self) -> None:
        """Close both states."""
        await self._local.aclose()
        await self._primary.aclose()

    async def _either(
        self,
        ask: Callable[[], Awaitable[Result]],
        instead: Callable[[], Awaitable[Result]],
        *,
        idempotent: bool = True,
    ) -> Result:
        try:
            return await self._guarded.call(ask, idempotent=idempotent)
        except (StateUnavailable, DeadlineExceeded):
            self._fell_back()
            return await instead()


async def _copy(messages: AsyncIterator[str], mailbox: Mailbox) -> None:
    async for message in messages:
        mailbox.put(message)
    mailbox.put(None)
