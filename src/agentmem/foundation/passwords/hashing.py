"""Hashes of passwords: Argon2id, in threads of their own, so many at once and no more."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from agentmem.errors import Overloaded
from agentmem.foundation.resilience.bulkhead import Bulkhead

LONGEST_BYTES: Final = 1024
"""Of a password as UTF-8: more is refused before it is hashed."""
_WAITING: Final = 256
Result = TypeVar("Result")


class Passwords:
    """Hashes and verifies passwords, and does what else costs as much, ``most`` at once.

    The others wait, ``seconds`` at most: then they are told :class:`Overloaded`, so that signing in cannot take the
    processor from everything else.
    """

    def __init__(self, *, memory_kib: int, passes: int, most: int, seconds: float) -> None:
        """Make the threads; the cost of a hash is its memory and how often that is passed over."""
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=1)
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="passwords")
        self._turns = Bulkhead(most=most, waiting=_WAITING)
        self._seconds = seconds
        self.nobodys = self._hasher.hash(secrets.token_urlsafe())
        """A hash that no password has: whoever is unknown is verified against it, for as long as all others."""

    async def hash(self, password: str) -> str:
        """Hash a password."""
        return await self.run(lambda: self._hasher.hash(password))

    async def matches(self, hashed: str, password: str) -> bool:
        """Tell whether a password has this hash; one that is too long has none, and costs as much."""
        return await self.run(lambda: self._matches(hashed, password))

    def is_weaker(self, hashed: str) -> bool:
        """Tell whether a hash is to be made anew, because it cost less than hashes cost now."""
        return self._hasher.check_needs_rehash(hashed)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do something of this cost when its turn has come; raises :class:`Overloaded` when that takes too long."""
        if self._turns.is_full:
            raise _overloaded()
        waited = asyncio.timeout(self._seconds)
        try:
            async with waited, self._turns.turn():
                waited.reschedule(None)
                # Whoever goes away leaves a thread at work: its turn ends with it.
                return await _to_the_end(asyncio.get_running_loop().run_in_executor(self._threads, work))
        except TimeoutError:
            if not waited.expired():
                raise
            raise _overloaded() from None

    async def aclose(self) -> None:
        """Wait for what is under way, and end the threads."""
        await asyncio.to_thread(self._threads.shutdown)

    def _matches(self, hashed: str, password: str) -> bool:
        short = len(password.encode("utf-8", "surrogatepass")) <= LONGEST_BYTES
        try:
            self._hasher.verify(hashed, password if short else "")
        except VerificationError:
            return False
        return short


async def _to_the_end(work: asyncio.Future[Result]) -> Result:
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


def _overloaded() -> Overloaded:
    return Overloaded("The server verifies as many passwords as it can.", retry_after=1.0)
