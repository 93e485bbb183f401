"""Operations on the events of the caller's organization."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.ledger import outbox
from agentmem.operations import operation
from agentmem.schemas.events import Event

_SWEPT_AT_ONCE: Final = 1000


@dataclass(frozen=True, kw_only=True)
class EventService:
    """The events of the caller's organization, in their order."""

    database: Database

    @operation(Permission.EVENT_READ)
    async def follow(self, tx: Transaction, after: int | None) -> int:
        """Have events written for the next 24 hours, and give the place to read them from; by default from now on.

        Raises :class:`EventsGone` when events after that place are not kept.
        """
        stream = await outbox.follow(tx)
        if after is None:
            return stream.last_sequence
        stream.require(after)
        return after

    @operation(Permission.EVENT_READ, read_only=True)
    async def read(self, tx: Transaction, after: int, limit: int) -> list[Event]:
        """Read up to ``limit`` events after a place, in order; raises :class:`EventsGone`."""
        stream = await outbox.stream_of(tx)
        stream.require(after)
        return [] if after == stream.last_sequence else await outbox.events_after(tx, after, limit)

    @operation(Permission.MEMORY_MAINTAIN)
    async def forget(self, tx: Transaction, kept: timedelta) -> int:
        """Remove some of the events that are older than ``kept``, and say how many; again until there are none."""
        return await outbox.forget_events(tx, kept, _SWEPT_AT_ONCE)
