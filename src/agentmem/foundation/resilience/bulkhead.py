"""A bulkhead: one slow dependency holds up so many calls and no more, and the rest of the process goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Bulkhead:
    """At most ``most`` calls of a dependency are under way at once, and ``waiting`` more wait for their turn."""

    def __init__(self, *, most: int, waiting: int) -> None:
        self._turns = asyncio.Semaphore(most)
        self._room = most + waiting
        self._inside = 0

    @property
    def is_full(self) -> bool:
        """Whether the next call would neither find a place nor be let to wait for one."""
        return self._inside >= self._room

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it inside the block; whoever enters has looked whether it :attr:`is_full`."""
        self._inside += 1
        try:
            async with self._turns:
                yield
        finally:
            self._inside -= 1
