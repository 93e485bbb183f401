"""Turns: how many requests are worked on at once, and how many of them may be of one organization or address."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from agentmem.errors import Overloaded

LONGEST_WAIT: Final = 5.0
"""Seconds a request may wait for its turn; a client that waits longer would rather be told."""
RETRY_AFTER: Final = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """A place among those that wait."""

    subject: str
    granted: asyncio.Future[None]

    @property
    def has_turn(self) -> bool:
        return self.granted.done() and not self.granted.cancelled()


@dataclass(kw_only=True, slots=True)
class Turns:
    """A pool of turns: ``most`` at once, of which one subject has at most ``share``, and as many of it may wait.

    Whoever waits is served in order, but for those whose subject has its share.
    """

    most: int
    share: int
    most_queued: int
    _busy: Counter[str] = field(default_factory=Counter)
    _waiting: list[_Place] = field(default_factory=list)

    async def take(self, subject: str) -> bool:
        """Wait for a turn; refused at once when too many wait already, and after a while in any case."""
        if self._admits(subject):
            self._busy[subject] += 1
            return True
        queued = sum(place.subject == subject for place in self._waiting)
        if len(self._waiting) >= self.most_queued or queued >= self.share:
            return False
        place = _Place(subject=subject, granted=asyncio.get_running_loop().create_future())
        self._waiting.append(place)
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                await place.granted
        except TimeoutError:
            return place.has_turn
        except BaseException:
            if place.has_turn:
                self.give_back(subject)
            raise
        finally:
            if place in self._waiting:
                self._waiting.remove(place)
        return True

    def give_back(self, subject: str) -> None:
        """End a turn, and let the next ones begin."""
        self._busy[subject] -= 1
        if not self._busy[subject]:
            del self._busy[subject]
        for place in tuple(self._waiting):
            if not place.granted.done() and self._admits(place.subject):
                self._waiting.remove(place)
                self._busy[place.subject] += 1
                place.granted.set_result(None)

    def _admits(self, subject: str) -> bool:
        return self._busy.total() < self.most and self._busy[subject] < self.share


@dataclass(kw_only=True, slots=True)
class Turn:
    """The turn of one request: at first one of its address at the door, then one of its organization inside."""

    door: Turns
    inside: Turns
    _held: tuple[Turns, str] | None = None

    async def begin(self, address: str) -> None:
        """Take a turn at the door; raises :class:`Overloaded`."""
        await self._take(self.door, address)

    async def enter(self, organization: str) -> None:
        """Change it for one inside, now that it is known who is asking; raises :class:`Overloaded`."""
        self.end()
        await self._take(self.inside, organization)

    def end(self) -> None:
        """Give the turn back."""
        if self._held is not None:
            turns, subject = self._held
            self._held = None
            turns.give_back(subject)

    async def _take(self, turns: Turns, subject: str) -> None:
        if not await turns.take(subject):
            raise Overloaded(
                "As many requests are being worked on as the server takes, in all or of one organization.",
                retry_after=RETRY_AFTER,
            )
        self._held = (turns, subject)
