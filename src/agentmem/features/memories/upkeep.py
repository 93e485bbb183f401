"""Operations that keep the indexes in shape: missing vectors, packed postings, purging."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Select, and_, delete, exists, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.sql import ColumnElement

from agentmem.features.memories.index_writing import PENDING, WORDS, TermHashes, change_statistics, write_entries
from agentmem.features.memories.jobs import ALL, REEMBED
from agentmem.features.memories.model import PreparedMemory, StoredVersion
from agentmem.features.memories.packing import TermOfUser, hold_rewriting, is_any, pack_some, try_rewriting
from agentmem.features.memories.provenance import forget_provenance
from agentmem.features.memories.quota import Used, usage_rows
from agentmem.features.memories.rewriting import remove_postings, texts_at
from agentmem.features.memories.tables import index_entries, index_settings, memories, vectors
from agentmem.features.memories.visibility import unheld
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.bulk import Rows
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.jobs.queue import enqueue
from agentmem.foundation.ledger.idempotency import KEPT, forget
from agentmem.kit.ids import JobId, Place
from agentmem.operations import operation
from agentmem.schemas.classification import Classification

LOOSE_ROWS: Final = 24
"""Small rows of one term and user from which on they are packed together."""

PURGE_BATCH: Final = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Embedded:
    """A model, and the classes of memories that it may read."""

    model: str
    classes: Sequence[Classification]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lacking:
    """Texts that have no vectors of a model, the version that says each, and the place up to which was looked."""

    versions: list[StoredVersion]
    last: Place


@dataclass(frozen=True, kw_only=True)
class MemoryUpkeep:
    """Upkeep of the caller's memories; every operation does one bounded step and may be repeated.

    An add's idempotency key is ``kept`` so long.
    """

    database: Database
    kept: timedelta = KEPT

    @operation(Permission.MEMORY_READ, read_only=True)
    async def recorded_model(self, tx: Transaction) -> str | None:
        """Read the id of the embedding model in force; a new store has none."""
        return (await tx.execute(_model_in_force(tx))).scalar_one_or_none()

    @operation(Permission.MEMORY_READ)
    async def active_model(self, tx: Transaction, default: str) -> str:
        """Read the id of the embedding model in force; in a new store that is ``default`` from now on."""
        statement = _model_in_force(tx)
        found = (await tx.execute(statement)).scalar_one_or_none()
        if found is not None:
            return str(found)
        new = upsert(index_settings).on_conflict_do_nothing()
        await tx.execute(new, {"organization_id": tx.organization_id, "embedding_model": default})
        return str((await tx.execute(statement)).scalar_one())

    @operation(Permission.MEMORY_MAINTAIN, audit="memory.model_change_ordered")
    async def order_model(self, tx: Transaction, name: str) -> JobId:
        """Ask for a job that embeds all texts by another model; one that waits already is that one."""
        job_id = await enqueue(tx, REEMBED, {"model": name}, once=ALL)
        tx.touch([job_id])
        return job_id

    @operation(Permission.MEMORY_MAINTAIN, audit="memory.model_changed")
    async def activate_model(self, tx: Transaction, model: str) -> None:
        """Put an embedding model in force; every memory should have its vectors by then."""
        in_force = {"embedding_model": model, "graph_width": None, "graph_vectors": None}
        await tx.execute(update(index_settings).where(tx.own(index_settings)).values(in_force))

    @operation(Permission.MEMORY_MAINTAIN, read_only=True)
    async def lacking(self, tx: Transaction, embedded: Embedded, after: Place, limit: int) -> Lacking | None:
        """Find the next texts without vectors of a model, in the order of their places; none when all have them."""
        without = and_(
            tx.own(memories),
            memories.c.place > after,
            memories.c.classification.in_(embedded.classes),
            ~_has_vector(tx, embedded.model, memories.c.place),
        )
        return await _read_texts(tx, select(memories.c.place).distinct().where(without), memories.c.place, limit)

    @operation(Permission.MEMORY_MAINTAIN, read_only=True)
    async def pending(self, tx: Transaction, embedded: Embedded, after: Place, limit: int) -> Lacking | None:
        """Find the same among texts that were indexed without a model, or by another one: quick when there are none."""
        # Two ranges of the key in place of "is not": only what is sought is read.
        other = or_(index_entries.c.model < embedded.model, index_entries.c.model > embedded.model)
        may = exists().where(
            tx.own(memories),
            memories.c.place == index_entries.c.place,
            memories.c.classification.in_(embedded.classes),
        )
        without = and_(
            tx.own(index_entries),
            other,
            index_entries.c.place > after,
            ~_has_vector(tx, embedded.model, index_entries.c.place),
            may,
        )
        places = select(index_entries.c.place).distinct().where(without)
        return await _read_texts(tx, places, index_entries.c.place, limit)

    @operation(Permission.MEMORY_MAINTAIN)
    async def complete(self, tx: Transaction, seen: Sequence[tuple[StoredVersion, PreparedMemory]]) -> int:
        """Write the vectors that texts lacked, and say how many; what was purged or moved meanwhile is left out."""
        kept = await lock_texts(tx, seen)
        if kept:
            await write_entries(tx, kept, TermHashes(tx))
            await follow_memories(tx, [stored.place for stored, _ in kept])
            await _end_pending(tx, [stored.place for stored, _ in kept])
        return len(kept)

    @operation(Permission.MEMORY_MAINTAIN, audit="memory.model_dropped")
    async def drop_other_models(self, tx: Transaction, model: str) -> int:
        """Remove the vectors of every model but this one, where its own are there; say how many.

        Nothing is removed when the model is not in force any more.
        """
        if (await tx.execute(_model_in_force(tx).with_for_update())).scalar_one() != model:
            return 0
        gone = 0
        for table in (vectors, index_entries):
            replaced = exists().where(tx.own(own := table.alias()), own.c.model == model, own.c.place == table.c.place)
            removed = await tx.execute(delete(table).where(tx.own(table), table.c.model != model, replaced))
            gone += removed.rowcount
        return gone

    @operation(Permission.MEMORY_MAINTAIN)
    async def pack_postings(
        self, tx: Transaction, after: TermOfUser | None = None, loose_rows: int = LOOSE_ROWS
    ) -> tuple[TermOfUser | None, int]:
        """Merge small rows of postings, some terms at a time: give the last term, for the next call, and the number.

        The term is absent at the end, and when another process is at it.
        """
        if not await try_rewriting(tx):
            return None, 0
        return await pack_some(tx, after, loose_rows)

    @operation(Permission.MEMORY_MAINTAIN, audit="memory.purged")
    async def purge(self, tx: Transaction, older_than_days: int) -> int:
        """Remove for good up to ``PURGE_BATCH`` memories that were deleted so many days ago, and say how many.

        What is about users who are held or restricted stays.
        """
        expired = tx.now - timedelta(days=older_than_days)
        gone = select(memories.c.memory_id).where(
            tx.own(memories), memories.c.known_until.is_(None), memories.c.deleted_at <= expired, unheld(tx)
        )
        # The lock makes a parallel restore win or wait: what is not deleted any more does not come back from here.
        chosen = gone.order_by(memories.c.memory_id).limit(PURGE_BATCH).with_for_update()
        ids = list((await tx.execute(chosen)).scalars())
        if ids:
            await hold_rewriting(tx)
            every = and_(tx.own(memories), memories.c.memory_id.in_(ids))
            sizes = list((await tx.execute(select(func.octet_length(memories.c.content)).where(every))).scalars())
            await remove_index(tx, ids, Used(memories=0, versions=-len(sizes), content_bytes=-sum(sizes)))
            await tx.execute(delete(memories).where(every))
        tx.touch(ids)
        return len(ids)

    @operation(Permission.MEMORY_MAINTAIN)
    async def forget_idempotency_keys(self, tx: Transaction) -> int:
        """Remove idempotency keys that were kept long enough, and say how many."""
        return await forget(tx, self.kept)


async def lock_texts(
    tx: Transaction, seen: Sequence[tuple[StoredVersion, PreparedMemory]]
) -> list[tuple[StoredVersion, PreparedMemory]]:
    """Keep the memories of texts as they are until the transaction ends, and give those that are as they were."""
    await _lock_memories(tx, {stored.record.id for stored, _ in seen})
    known = tuple_(memories.c.memory_id, memories.c.version, memories.c.place, memories.c.classification)
    asked = {_seen_as(stored) for stored, _ in seen}
    there = {tuple(row) for row in await tx.execute(select(*known).where(tx.own(memories), known.in_(sorted(asked))))}
    return [(stored, memory) for stored, memory in seen if _seen_as(stored) in there]


def _seen_as(stored: StoredVersion) -> tuple[UUID, int, Place, str]:
    record = stored.record
    return record.id, record.version, stored.place, record.classification.value


async def _lock_memories(tx: Transaction, ids: Iterable[UUID]) -> None:
    wanted, there = sorted(set(ids)), set[UUID]()
    current = select(memories.c.memory_id).where(tx.own(memories), memories.c.known_until.is_(None))
    fruitless = 0
    while len(there) < len(wanted) and fruitless < 2:
        # A version that somebody ended while this waited for it is passed over: its successor is locked next.
        missing = [memory_id for memory_id in wanted if memory_id not in there]
        locking = current.where(memories.c.memory_id.in_(missing)).order_by(memories.c.memory_id)
        found = set((await tx.execute(locking.with_for_update(read=True))).scalars())
        fruitless = 0 if found else fruitless + 1
        there |= found


async def follow_memories(tx: Transaction, places: Sequence[Place]) -> None:
    """Let a plain search find the vectors of present contents alone; the caller has locked the memories."""
    present = exists().where(
        tx.own(memories),
        memories.c.place == vectors.c.place,
        memories.c.known_until.is_(None),
        memories.c.deleted_at.is_(None),
    )
    moved = and_(tx.own(vectors), is_any(vectors.c.place, places), vectors.c.live != present)
    await tx.execute(update(vectors).where(moved).values(live=~vectors.c.live))


def _model_in_force(tx: Transaction) -> Select[tuple[str]]:
    return select(index_settings.c.embedding_model).where(tx.own(index_settings))


def _has_vector(tx: Transaction, model: str, place: ColumnElement[int]) -> ColumnElement[bool]:
    return exists().where(tx.own(vectors), vectors.c.model == model, vectors.c.place == place)


async def _read_texts(
    tx: Transaction, places: Select[tuple[int]], column: ColumnElement[int], limit: int
) -> Lacking | None:
    """Read the last version at each of the first places; what does not open is for the doctor, and is passed over."""
    chosen = list((await tx.execute(places.order_by(column).limit(limit))).scalars())
    if not chosen:
        return None
    return Lacking(versions=await texts_at(tx, chosen), last=Place(chosen[-1]))


async def _end_pending(tx: Transaction, places: Sequence[Place]) -> None:
    await tx.execute(
        delete(index_entries).where(
            tx.own(index_entries), index_entries.c.model.in_([PENDING, WORDS]), is_any(index_entries.c.place, places)
        )
    )


async def remove_index(tx: Transaction, ids: Sequence[UUID], used: Used) -> None:
    """Remove everything by which these memories are found and what is known of their origin, and count them out."""
    await unindex(tx, ids, usage_rows(used))
    await forget_provenance(tx, ids)


async def unindex(tx: Transaction, ids: Sequence[UUID], *others: Rows) -> None:
    """Remove everything by which these memories are found, and write other rows with their counts.

    The caller holds the lock of those who rewrite postings.
    """
    entries = select(index_entries.c.place, index_entries.c.user_id, index_entries.c.length).distinct()
    indexed = (await tx.execute(entries.where(tx.own(index_entries), index_entries.c.memory_id.in_(ids)))).all()
    lengths: dict[str, list[int]] = defaultdict(list)
    for _, user_id, length in indexed:
        lengths[user_id].append(length)
    owned = select(memories.c.place).distinct().where(tx.own(memories), memories.c.memory_id.in_(ids))
    places = list((await tx.execute(owned)).scalars())
    await remove_postings(tx, places)
    changes = {user: (-len(found), -sum(found)) for user, found in lengths.items()}
    await change_statistics(tx, changes, *others)
    for table in (vectors, index_entries):
        await tx.execute(delete(table).where(tx.own(table), is_any(table.c.place, places)))
