"""Locks for work that is better done by one process at a time, and fences for work that must be.

The lock is in the shared state and can be lost: Redis forgets it, or its holder sleeps past its time. So whoever must
not write beside another carries a fence: a number in PostgreSQL that each holder raises, and that every transaction of
the holder checks. Without Redis the lock holds for one process alone, and the fence for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from secrets import token_hex
from time import monotonic
from typing import Final

import structlog

from agentmem.errors import Conflict, StateUnavailable
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.database.database import Database
from agentmem.foundation.resilience.retry import backoff
from agentmem.foundation.state.port import State

LOCK_SECONDS: Final = 30.0
"""How long a lock outlives its holder; it is extended three times as often while that lives."""
_FIRST_WAIT: Final = 0.05
_LONGEST_WAIT: Final = 2.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Locks:
    """Gives locks to the work of organizations; ``seconds`` is how long one outlives a holder that was killed."""

    state: State
    database: Database
    seconds: float = LOCK_SECONDS

    @asynccontextmanager
    async def hold(self, caller: Caller, work: str, *, wait: float = 0.0) -> AsyncIterator[Caller]:
        """Be the one who does this work in the caller's organization; gives the caller to do it with.

        What that caller writes is refused with :class:`LockLost` once another has begun the work, whatever became of
        the lock. Raises :class:`Conflict` if another is at it, still after ``wait`` seconds.
        """
        async with lock(self.state, str(caller.organization_id), work, wait=wait, seconds=self.seconds):
            yield await self.database.fenced(caller, work)


@asynccontextmanager
async def lock(
    state: State, tag: str, name: str, *, wait: float = 0.0, seconds: float = LOCK_SECONDS
) -> AsyncIterator[None]:
    """Hold a lock inside the block; for efficiency alone, because it can be lost without a word.

    It ends by itself ``seconds`` after its holder was killed, and is extended while that lives. Raises
    :class:`Conflict` if another has it, still after ``wait`` seconds of asking, ever more seldom.
    """
    token = token_hex(16)
    await _acquire(state, tag, name, token, wait=wait, seconds=seconds)
    watchdog = asyncio.create_task(_extend(state, tag, name, token, seconds))
    try:
        yield
    finally:
        watchdog.cancel()
        await asyncio.gather(watchdog, return_exceptions=True)
        with suppress(StateUnavailable):  # it ends by itself
            await state.unlock(tag, name, token)


async def _acquire(state: State, tag: str, name: str, token: str, *, wait: float, seconds: float) -> None:
    ends = monotonic() + wait
    tries = 0
    while not await state.lock(tag, name, token, seconds=seconds):
        tries += 1
        left = ends - monotonic()
        if left <= 0:
            raise Conflict(f"Another process is at it already: {name}.", hint="Wait for it to end.")
        await asyncio.sleep(min(left, backoff(tries, base=_FIRST_WAIT, cap=_LONGEST_WAIT)))


async def _extend(state: State, tag: str, name: str, token: str, seconds: float) -> None:
    """Extend a lock at each third of its time, and take it again when the state has forgotten it."""
    while True:
        await asyncio.sleep(seconds / 3)
        try:
            kept = await state.lock(tag, name, token, seconds=seconds)
        except StateUnavailable as error:
            log.warning("lock_not_extended", work=name, reason=error.code)
            continue
        if not kept:
            log.warning("lock_lost", work=name)
            return
