"""The outbox: what was done waits here, and becomes events in an order of their own.

An organization has events from the first time that somebody asks for them, and while somebody does: until then nothing
is written. The order is that in which the relay takes them up, so that no transaction that commits late is skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, Uuid, bindparam, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import Insert, insert

from agentmem.errors import EventsGone
from agentmem.foundation.database.bulk import Rows
from agentmem.foundation.database.system import SystemTransaction
from agentmem.foundation.database.transaction import TenantFilter, Transaction
from agentmem.foundation.ledger.tables import audit_entries, event_streams, events, outbox
from agentmem.kit.ids import OrganizationId
from agentmem.schemas.events import MOST_TARGETS, Event

FOLLOWED: Final = timedelta(hours=24)
"""How long events are written after somebody has last followed them."""
_SURELY: Final = timedelta(hours=1)
"""With less than this to go nobody may rely on it that events were written all along."""
_FILTERS: Final = 8
_streams = event_streams


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """How far an organization's events go: those after ``kept_from``, up to ``last_sequence``, can be read."""

    last_sequence: int
    kept_from: int

    def require(self, after: int) -> None:
        """Raise :class:`EventsGone` unless every event after this place can be read."""
        if not self.kept_from <= after <= self.last_sequence:
            raise EventsGone(
                f"The events after {after} are not kept: those after {self.kept_from} to {self.last_sequence} are.",
                hint="Read what you need anew, then follow the events from now on: without a place to begin at.",
            )


def waiting(tx: Transaction, entry_id: UUID) -> Rows:
    """Give the row by which an audit entry waits to become an event; there is none where nobody asks for events."""
    return Rows(statement=_waiting(tx.tenant_filter), values={"event": entry_id})


@lru_cache(_FILTERS)
def _waiting(own: TenantFilter) -> Insert:
    # By the database's clock, as the moment was written: those of the servers may differ.
    asked = or_(_streams.c.subscribed, _streams.c.followed_until > func.now())
    source = select(_streams.c.organization_id, bindparam("event", type_=Uuid())).where(own(_streams), asked)
    return insert(outbox).from_select(["organization_id", "entry_id"], source)


async def follow(tx: Transaction) -> Stream:
    """Have events written for the next 24 hours, and say how far they go."""
    return await _ask(tx, {"followed_until": func.now() + FOLLOWED})


async def subscribe(tx: Transaction, *, subscribed: bool) -> None:
    """Have events written for as long as there are subscriptions, or no more for that reason."""
    if subscribed:
        await _ask(tx, {"subscribed": True})
    else:
        await tx.execute(update(_streams).where(tx.own(_streams)).values(subscribed=False))


async def hold_stream(tx: Transaction) -> None:
    """Make the organization's stream unless it is there, and keep others from changing it until the end."""
    none = {"last_sequence": 0, "kept_from": 0, "subscribed": False, "followed_until": tx.now - FOLLOWED}
    row = {"organization_id": tx.organization_id, **none}
    await tx.execute(insert(_streams).on_conflict_do_nothing(), row)
    await tx.execute(select(_streams.c.last_sequence).where(tx.own(_streams)).with_for_update())


async def _ask(tx: Transaction, values: dict[str, object]) -> Stream:
    await hold_stream(tx)
    written = or_(_streams.c.subscribed, _streams.c.followed_until > func.now() + _SURELY)
    found = (await tx.execute(select(_streams, written.label("written")).where(tx.own(_streams)))).one()
    last, kept_from = found.last_sequence, found.kept_from
    if not found.written:
        # What was done meanwhile is no event. A number stands for it, so that no reader goes on behind it unawares.
        last = kept_from = last + 1
    changed = {**values, "last_sequence": last, "kept_from": kept_from}
    await tx.execute(update(_streams).where(tx.own(_streams)).values(**changed))
    return Stream(last_sequence=last, kept_from=kept_from)


async def stream_of(tx: Transaction) -> Stream:
    """Say how far the organization's events go."""
    found = (await tx.execute(select(_streams).where(tx.own(_streams)))).first()
    if found is None:
        return Stream(last_sequence=0, kept_from=0)
    return Stream(last_sequence=found.last_sequence, kept_from=found.kept_from)


async def events_after(tx: Transaction, after: int, limit: int) -> list[Event]:
    """Read up to ``limit`` events after a place, in order."""
    statement = (
        select(events.c.sequence, *audit_entries.c)
        .join(audit_entries, audit_entries.c.entry_id == events.c.entry_id)
        .where(tx.own(events), tx.own(audit_entries), events.c.sequence > after)
    )
    rows = await tx.execute(statement.order_by(events.c.sequence).limit(limit))
    return [_event(row.sequence, row) for row in rows]


async def events_of(tx: Transaction, sequences: Mapping[UUID, int]) -> dict[UUID, Event]:
    """Read events by their ids, whose places in the order are known, whether or not they can still be read in it."""
    statement = select(audit_entries).where(tx.own(audit_entries), audit_entries.c.entry_id.in_(list(sequences)))
    return {row.entry_id: _event(sequences[row.entry_id], row) for row in await tx.execute(statement)}


async def waiting_organizations(tx: SystemTransaction, limit: int) -> list[OrganizationId]:
    """Name up to ``limit`` organizations in which something waits to become events."""
    rows = await tx.execute(select(outbox.c.organization_id).distinct().limit(limit))
    return [OrganizationId(found) for found in rows.scalars()]


async def take_up(tx: SystemTransaction, organization_id: OrganizationId, limit: int) -> list[Event]:
    """Make events of up to ``limit`` of the entries that wait, in order; none while another process is at it."""
    stream = select(_streams.c.last_sequence).where(tx.own(_streams)).with_for_update(skip_locked=True)
    last = (await tx.execute(stream)).scalar_one_or_none()
    if last is None:
        return []
    first = select(outbox.c.entry_id).where(tx.own(outbox)).order_by(outbox.c.entry_id).limit(limit)
    taken = delete(outbox).where(tx.own(outbox), outbox.c.entry_id.in_(first)).returning(outbox.c.entry_id)
    ids = list((await tx.execute(taken)).scalars())
    entries = select(audit_entries).where(tx.own(audit_entries), audit_entries.c.entry_id.in_(ids))
    found = (await tx.execute(entries.order_by(audit_entries.c.entry_id))).all() if ids else []
    if not found:  # nothing waits, or what does is of entries that are gone
        return []
    made = [_event(sequence, row) for sequence, row in enumerate(found, last + 1)]
    own = {"organization_id": organization_id, "relayed_at": tx.now}
    rows = [{**own, "sequence": event.sequence, "entry_id": event.id} for event in made]
    await tx.execute(insert(events), rows)
    await tx.execute(update(_streams).where(tx.own(_streams)).values(last_sequence=last + len(made)))
    return made


async def forget_events(tx: Transaction, kept: timedelta, limit: int) -> int:
    """Remove up to ``limit`` events that are older than ``kept``, and say how many."""
    oldest = select(events.c.sequence, events.c.relayed_at).where(tx.own(events)).order_by(events.c.sequence)
    rows = (await tx.execute(oldest.limit(limit))).all()
    old = [row.sequence for row in rows if row.relayed_at < tx.now - kept]
    if not old:
        return 0
    await hold_stream(tx)
    removed = await tx.execute(delete(events).where(tx.own(events), events.c.sequence <= old[-1]))
    kept_from = func.greatest(_streams.c.kept_from, old[-1])
    await tx.execute(update(_streams).where(tx.own(_streams)).values(kept_from=kept_from))
    return removed.rowcount


def _event(sequence: int, entry: Row[Any]) -> Event:
    return Event(
        id=entry.entry_id,
        sequence=sequence,
        type=entry.action,
        at=entry.at,
        actor=entry.actor,
        targets=entry.targets[:MOST_TARGETS],
        more_targets=max(0, len(entry.targets) - MOST_TARGETS),
    )
