"""All SQL about what is said of persons, and about erasures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from agentmem.errors import NotFound
from agentmem.features.privacy.model import Marks, StoredErasure
from agentmem.features.privacy.tables import erasures
from agentmem.foundation.database.tables import subjects
from agentmem.foundation.database.transaction import Transaction

# agentmem.hold_subjects takes the same lock, shared, for whoever writes about the subject.
_NOBODY_WRITES: Final = b"SELECT pg_advisory_xact_lock(x'7375626a'::integer, agentmem.subject_lock(%(subject)s::bytea))"


async def wait_for_writers(tx: Transaction, subject: bytes) -> None:
    """Wait until nobody writes about a subject, and keep it so until the transaction ends."""
    await tx.driver.execute(_NOBODY_WRITES, {"subject": subject})


async def fetch_marks(tx: Transaction, subject: bytes) -> Marks:
    """Read what is said of a subject."""
    named = (subjects.c.user_id, subjects.c.erasing, subjects.c.restricted, subjects.c.held)
    row = (await tx.execute(select(*named).where(tx.own(subjects), subjects.c.subject == subject))).first()
    return Marks() if row is None else Marks(**row._mapping)


async def mark(tx: Transaction, subject: bytes, **marks: object) -> None:
    """Say something of a subject."""
    row = {
        "organization_id": tx.organization_id,
        "subject": subject,
        "user_id": None,
        "erasing": False,
        "restricted": False,
        "held": False,
        "destroyed_keys": [],
        **marks,
        "changed_at": tx.now,
    }
    changed = {name: row[name] for name in (*marks, "changed_at")}
    await tx.execute(
        upsert(subjects).on_conflict_do_update(index_elements=list(subjects.primary_key), set_=changed), row
    )


async def add_erasure(tx: Transaction, erasure_id: UUID, subject: bytes) -> None:
    """Write down that an erasure was asked for."""
    row = {
        "organization_id": tx.organization_id,
        "erasure_id": erasure_id,
        "subject": subject,
        "requested_by": tx.caller.principal_id,
        "requested_at": tx.now,
        "removed": {},
    }
    await tx.execute(insert(erasures), row)


async def fetch_erasure(tx: Transaction, erasure_id: UUID) -> StoredErasure:
    """Read an erasure, or raise :class:`NotFound`."""
    found = (await tx.execute(select(erasures).where(tx.own(erasures), erasures.c.erasure_id == erasure_id))).first()
    if found is None:
        raise NotFound(f"There is no erasure {erasure_id}.")
    return _to_erasure(found)


async def fetch_erasures(tx: Transaction, subject: bytes) -> list[StoredErasure]:
    """Read the erasures of a subject, the oldest first."""
    statement = select(erasures).where(tx.own(erasures), erasures.c.subject == subject)
    return [_to_erasure(row) for row in await tx.execute(statement.order_by(erasures.c.requested_at))]


def _to_erasure(row: Row[Any]) -> StoredErasure:
    return StoredErasure(**{name: value for name, value in row._mapping.items() if name != "organization_id"})


async def unfinished(tx: Transaction, subject: bytes) -> UUID | None:
    """Find the erasure of a subject that is under way."""
    under_way = (tx.own(erasures), erasures.c.subject == subject, erasures.c.finished_at.is_(None))
    return (await tx.execute(select(erasures.c.erasure_id).where(*under_way))).scalar()


async def count_removed(tx: Transaction, erasure_id: UUID, removed: Mapping[str, int]) -> None:
    """Add to what an erasure has removed."""
    found = await fetch_erasure(tx, erasure_id)
    total = {name: found.removed.get(name, 0) + removed.get(name, 0) for name in (*found.removed, *removed)}
    own = (tx.own(erasures), erasures.c.erasure_id == erasure_id)
    await tx.execute(update(erasures).where(*own).values(removed=total))


async def finish(tx: Transaction, erasure_id: UUID, subject: bytes, destroyed: Sequence[UUID]) -> None:
    """End an erasure: the subject may be written about again, by none of the keys that were destroyed."""
    own = (tx.own(erasures), erasures.c.erasure_id == erasure_id)
    await tx.execute(update(erasures).where(*own).values(finished_at=tx.now))
    kind = subjects.c.destroyed_keys.type
    keys = func.array_cat(subjects.c.destroyed_keys, literal(list(destroyed), kind), type_=kind)
    ended = {"erasing": False, "user_id": None, "destroyed_keys": keys, "changed_at": tx.now}
    await tx.execute(update(subjects).where(tx.own(subjects), subjects.c.subject == subject).values(ended))


async def oldest_unrewritten(tx: Transaction) -> datetime | None:
    """Find when the first erasure finished after which the tables were not written anew."""
    waiting = (tx.own(erasures), erasures.c.finished_at.is_not(None), erasures.c.rewritten_at.is_(None))
    return (await tx.execute(select(func.min(erasures.c.finished_at)).where(*waiting))).scalar()


async def note_rewritten(tx: Transaction, began: datetime) -> None:
    """Write down that the tables were written anew from a moment on."""
    waiting = (tx.own(erasures), erasures.c.finished_at <= began, erasures.c.rewritten_at.is_(None))
    await tx.execute(update(erasures).where(*waiting).values(rewritten_at=tx.now))
