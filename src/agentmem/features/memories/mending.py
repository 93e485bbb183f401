"""Making again what can be made from what is stored; contents are never touched, and each repair is audited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import numpy as np
from sqlalchemy import and_, delete, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert

from agentmem.errors import DecryptionFailed
from agentmem.features.memories.cross_checks import lost_sessions, orphans, short_sessions, statistics_errors
from agentmem.features.memories.index_writing import (
    PENDING,
    WORDS,
    TermHashes,
    change_statistics,
    insert_blocks,
    write_entries,
)
from agentmem.features.memories.model import PreparedMemory, StoredVersion
from agentmem.features.memories.packing import hold_rewriting, is_any, strip
from agentmem.features.memories.quota import usage_error, usage_rows
from agentmem.features.memories.repository import RECORD_COLUMNS, content_digest, to_record, unlock
from agentmem.features.memories.rewriting import postings_of, texts_at
from agentmem.features.memories.tables import index_entries, memories, sessions, vectors
from agentmem.features.memories.upkeep import follow_memories, lock_texts
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.operations import operation

REPAIRED: Final = "memory.repaired"


@dataclass(frozen=True, kw_only=True)
class MemoryMending:
    """Repairs of the memories of the caller's organization; each may be repeated, and does one batch."""

    database: Database

    @operation(Permission.MEMORY_MAINTAIN, read_only=True)
    async def texts(self, tx: Transaction, places: Sequence[int]) -> list[StoredVersion]:
        """Read what is indexed at these places; what does not open is left out."""
        return await texts_at(tx, places)

    @operation(Permission.MEMORY_MAINTAIN, audit=REPAIRED)
    async def rebuild_entries(
        self, tx: Transaction, model: str, made: Sequence[tuple[StoredVersion, PreparedMemory]]
    ) -> None:
        """Write index entries and vectors anew, in place of whatever the model in force has there."""
        kept = await lock_texts(tx, made)
        places = [stored.place for stored, _ in kept]
        for table in (index_entries, vectors):
            old = and_(tx.own(table), table.c.model.in_([model, PENDING, WORDS]), is_any(table.c.place, places))
            await tx.execute(delete(table).where(old))
        if kept:
            await write_entries(tx, kept, TermHashes(tx))
            await follow_memories(tx, places)
        tx.touch(stored.record.id for stored, _ in kept)

    @operation(Permission.MEMORY_MAINTAIN, audit=REPAIRED)
    async def rebuild_postings(self, tx: Transaction, places: Sequence[int]) -> None:
        """Take places out of all postings, and write those that their texts say; foreign places are gone then."""
        await hold_rewriting(tx)
        texts = await texts_at(tx, places)
        # What a text says cannot be written without opening it: postings of damaged contents stay as they are.
        damaged = await _unreadable(tx, places, texts)
        await strip(tx, np.array(sorted(set(places) - damaged), np.int64))
        for stored in texts:
            await insert_blocks(tx, postings_of(tx, stored, stored.place))
        tx.touch(stored.record.id for stored in texts)

    @operation(Permission.MEMORY_MAINTAIN, audit=REPAIRED)
    async def restore_digests(self, tx: Transaction, versions: Sequence[tuple[UUID, int]]) -> None:
        """Compute the digests of these versions anew."""
        chosen = tuple_(memories.c.memory_id, memories.c.version).in_(list(versions))
        for row in await unlock(tx, await tx.execute(select(*RECORD_COLUMNS).where(tx.own(memories), chosen))):
            try:
                digest = content_digest(tx, to_record(tx, row))
            except DecryptionFailed:
                continue
            this = (memories.c.memory_id == row.memory_id, memories.c.version == row.version)
            await tx.execute(update(memories).where(tx.own(memories), *this).values(content_digest=digest))
            tx.touch([row.memory_id])

    @operation(Permission.MEMORY_MAINTAIN, audit=REPAIRED)
    async def recount(self, tx: Transaction) -> None:
        """Correct the counts by what is stored and indexed.

        Nobody waits: each count and what it counts are written together, so that what others do meanwhile changes both
        and leaves the error as it is. Only two who correct must not do it twice.
        """
        await hold_rewriting(tx)
        documents = {
            row.user_id: (-int(row.documents), -int(row.length)) for row in await tx.execute(statistics_errors(tx))
        }
        stored = await usage_error(tx)
        if documents or stored:
            await change_statistics(tx, documents, usage_rows(-stored))

    @operation(Permission.MEMORY_MAINTAIN, audit=REPAIRED)
    async def mend_sessions(self, tx: Transaction) -> None:
        """Let sessions end where their last turn is, and know those again of which only turns are left."""
        for row in (await tx.execute(short_sessions(tx))).all():
            short = (sessions.c.session_no == row.session_no, sessions.c.last_position < row.furthest)
            await tx.execute(update(sessions).where(tx.own(sessions), *short).values(last_position=row.furthest))
        lost = [
            {
                "organization_id": tx.organization_id,
                "session_no": row.session_no,
                "last_position": row.furthest,
                "run_id": row.run_id,
                "user_id": row.user_id,
                "agent_id": row.agent_id,
                "app_id": row.app_id,
            }
            for row in await tx.execute(lost_sessions(tx))
        ]
        if lost:
            await tx.execute(upsert(sessions).on_conflict_do_nothing(), lost)

    @operation(Permission.MEMORY_MAINTAIN, audit=REPAIRED)
    async def remove_orphans(self, tx: Transaction) -> None:
        """Remove index entries and vectors of places that no memory has."""
        places = list((await tx.execute(orphans(tx))).scalars())
        for table in (index_entries, vectors):
            await tx.execute(delete(table).where(tx.own(table), is_any(table.c.place, places)))


async def _unreadable(tx: Transaction, places: Sequence[int], texts: Sequence[StoredVersion]) -> set[int]:
    """Give those places that a memory has whose text does not open."""
    owned = select(memories.c.place).where(tx.own(memories), is_any(memories.c.place, places))
    return set((await tx.execute(owned)).scalars()) - {stored.place for stored in texts}
