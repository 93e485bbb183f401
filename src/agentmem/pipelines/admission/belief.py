"""What was looked up of credentials, believed for less than a second: ADR 0018."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Final, Generic, TypeVar

from agentmem.errors import Overloaded
from agentmem.foundation.resilience.bulkhead import Bulkhead
from agentmem.foundation.resilience.deadline import deadline
from agentmem.kit.cache import Cache
from agentmem.kit.tasks import hear

FRESH_SECONDS: Final = 0.75
"""How long what was looked up is believed, from before the look: the bound on a revocation whose message was lost."""
LOOKUPS: Final = 4
"""Credentials looked up at once where nothing else is said: whoever shows many leaves connections to the others."""
_MOST_KNOWN: Final = 10_000
_WAITING_LOOKUPS: Final = 1024

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known(Generic[Found]):
    """What was found, and until when it is believed; of an unknown key that is ``None``."""

    found: Found | None
    until: float


class Belief(Generic[Key, Found]):
    """Looks things up, one look for all who ask meanwhile, and believes what it found for 0.75 seconds."""

    def __init__(
        self,
        read: Callable[[Key], Awaitable[Found | None]],
        *,
        lookups: int = LOOKUPS,
        ticks: Callable[[], float] = monotonic,
    ) -> None:
        """Know nothing yet; ``read`` looks up, ``lookups`` at once, and ``ticks`` gives seconds."""
        self._read = read
        self._ticks = ticks
        self._known: Cache[Key, _Known[Found]] = Cache(capacity=_MOST_KNOWN, seconds=FRESH_SECONDS, clock=ticks)
        self._lookups = Bulkhead(most=lookups, waiting=_WAITING_LOOKUPS)
        self._looking: dict[Key, asyncio.Task[_Known[Found]]] = {}

    def __contains__(self, key: Key) -> bool:
        """Tell whether a look has been made, or is under way."""
        return key in self._known or key in self._looking

    async def find(self, key: Key) -> Found | None:
        """Give what stands under a key, if anything does; raises :class:`Overloaded` when too many are looked up."""
        known = self._known.get(key)
        if known is not None:
            return known.found
        looking = self._looking.get(key)
        if looking is not None:
            known = await asyncio.shield(looking)
            if self._ticks() < known.until:
                return known.found
        # Whoever begins a look believes it however long it took: it began after the request came.
        with deadline(None):  # others wait for it too, for longer than this request perhaps
            looking = self._looking[key] = asyncio.create_task(self._look_up(key))
        looking.add_done_callback(hear)
        return (await asyncio.shield(looking)).found

    def forget(self, keys: Iterable[Key]) -> None:
        """Look these up anew at their next use; all of them if none is named."""
        for key in list(keys) or [*self._known.keys(), *self._looking]:
            self._known.drop(key)
            self._looking.pop(key, None)

    async def _look_up(self, key: Key) -> _Known[Found]:
        until = self._ticks() + FRESH_SECONDS
        try:
            known = _Known(found=await self._read_in_turn(key), until=until)
        finally:
            # Another look is there, or none, if it was revoked meanwhile: this one may have come too early to see.
            undisturbed = self._looking.get(key) is asyncio.current_task()
            if undisturbed:
                del self._looking[key]
        if undisturbed:
            self._known.put(key, known, until=until)
        return known

    async def _read_in_turn(self, key: Key) -> Found | None:
        if self._lookups.is_full:
            raise Overloaded("The server looks up as many credentials as it can.", retry_after=1.0)
        async with self._lookups.turn():
            return await self._read(key)
