"""The state of a single process: the in-process twin of Redis."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final

from agentmem.errors import Closed, StateUnavailable
from agentmem.foundation.state.gcra import MICROSECONDS, level_of, rate_of
from agentmem.foundation.state.port import Admission, Quota

GAP: Final = ""
"""The message that stands for messages that may have been lost."""
_WAITING: Final = 1024
"""Messages that wait for a slow reader; beyond, they become one gap."""


class Mailbox:
    """The messages that wait for one reader; ``None`` ends them."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[str | None] = asyncio.Queue()

    def put(self, message: str | None) -> None:
        """Add a message; a reader who does not keep up is told of a gap instead."""
        if self._waiting.qsize() >= _WAITING:
            while not self._waiting.empty():
                self._waiting.get_nowait()
            self._waiting.put_nowait(GAP)
        self._waiting.put_nowait(message)

    async def read(self) -> AsyncIterator[str]:
        """Give the messages as they come, until the end."""
        while (message := await self._waiting.get()) is not None:
            yield message


class MemoryState:
    """Holds counts, messages, values and locks in this process; forgets the least recently used beyond ``capacity``."""

    def __init__(self, *, clock: Callable[[], float] = monotonic, capacity: int = 100_000, values: int = 4096) -> None:
        """Make an empty state; ``clock`` gives seconds, ``capacity`` bounds the counts and ``values`` the values."""
        self._clock = clock
        self._capacity = capacity
        self._most_values = values
        self._ends: OrderedDict[tuple[str, str, str], int] = OrderedDict()
        self._values: OrderedDict[tuple[str, str], tuple[float, bytes]] = OrderedDict()
        self._once: dict[tuple[str, str], tuple[float, bytes]] = {}
        self._locks: dict[tuple[str, str], tuple[float, str]] = {}
        self._listeners: dict[str, set[Mailbox]] = {}
        self._closed = False

    async def take(self, tag: str, quotas: Sequence[Quota], cost: int) -> Admission:
        """Charge all quotas, or none; see :meth:`State.take`."""
        self._require_open()
        now = int(self._clock() * MICROSECONDS)
        rates = [rate_of(quota) for quota in quotas]
        keys = [(tag, quota.name, quota.subject) for quota in quotas]
        used = [min(max(self._ends.get(key, now) - now, 0), rate.burst) for key, rate in zip(keys, rates, strict=True)]
        missing = [rate.missing(taken, cost) for rate, taken in zip(rates, used, strict=True)]
        allowed = not any(missing)
        if allowed and cost > 0:
            for index, (key, rate) in enumerate(zip(keys, rates, strict=True)):
                used[index] += rate.price(cost)
                self._ends[key] = now + used[index]
                self._ends.move_to_end(key)
            while len(self._ends) > self._capacity:
                self._ends.popitem(last=False)
        return Admission(allowed=allowed, levels=tuple(map(level_of, quotas, rates, used, missing)))

    async def publish(self, channel: str, message: str) -> None:
        """Send a message to the listeners of this process."""
        self._require_open()
        for mailbox in self._listeners.get(channel, ()):
            mailbox.put(message)

    @asynccontextmanager
    async def subscribe(self, channel: str) -> AsyncIterator[AsyncIterator[str]]:
        """Listen to a channel; see :meth:`State.subscribe`."""
        self._require_open()
        mailbox = Mailbox()
        listeners = self._listeners.setdefault(channel, set())
        listeners.add(mailbox)
        try:
            yield mailbox.read()
        finally:
            listeners.discard(mailbox)

    async def get(self, tag: str, key: str) -> bytes | None:
        """Give a kept value; see :meth:`State.get`."""
        self._require_open()
        kept = self._values.get((tag, key))
        if kept is None:
            return None
        if kept[0] <= self._clock():
            del self._values[tag, key]
            return None
        self._values.move_to_end((tag, key))
        return kept[1]

    async def put(self, tag: str, key: str, value: bytes, *, seconds: float) -> None:
        """Keep a value; see :meth:`State.put`."""
        self._require_open()
        self._values[tag, key] = (self._clock() + seconds, value)
        self._values.move_to_end((tag, key))
        while len(self._values) > self._most_values:
            self._values.popitem(last=False)

    async def once(self, tag: str, key: str, value: bytes, *, seconds: float) -> bytes | None:
        """Keep a value unless there is one, and give that; see :meth:`State.once`."""
        self._require_open()
        now = self._clock()
        until, kept = self._once.get((tag, key), (now, value))
        if now < until:
            return kept
        if len(self._once) >= self._capacity:
            self._once = {name: held for name, held in self._once.items() if now < held[0]}
            if len(self._once) >= self._capacity:
                raise StateUnavailable("The process keeps as much as it can.", hint="Retry.")
        self._once[tag, key] = (now + seconds, value)
        return None

    async def pop(self, tag: str, key: str) -> bytes | None:
        """Give a kept value and forget it; see :meth:`State.pop`."""
        value = await self.get(tag, key)
        self._values.pop((tag, key), None)
        return value

    async def lock(self, tag: str, name: str, token: str, *, seconds: float) -> bool:
        """Take a lock, or extend it; see :meth:`State.lock`."""
        self._require_open()
        now = self._clock()
        until, holder = self._locks.get((tag, name), (0.0, token))
        if holder != token and now < until:
            return False
        self._locks[tag, name] = (now + seconds, token)
        return True

    async def unlock(self, tag: str, name: str, token: str) -> bool:
        """Release a lock; see :meth:`State.unlock`."""
        self._require_open()
        until, holder = self._locks.get((tag, name), (0.0, ""))
        if holder != token:
            return False
        del self._locks[tag, name]
        return self._clock() < until

    async def ping(self) -> None:
        """Answer, unless closed."""
        self._require_open()

    async def aclose(self) -> None:
        """Forget everything and end every subscription."""
        self._closed = True
        for mailbox in [mailbox for listeners in self._listeners.values() for mailbox in listeners]:
            mailbox.put(None)
        self._ends.clear()
        self._values.clear()

    def _require_open(self) -> None:
        if self._closed:
            raise Closed("The shared state was closed.")
