"""Removing for good everything that is stored about one user, in every version and every index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import and_, delete, func, select

from agentmem.features.memories.packing import hold_rewriting
from agentmem.features.memories.provenance import forget_provenance
from agentmem.features.memories.quota import Used
from agentmem.features.memories.repository import lock_ids
from agentmem.features.memories.tables import (
    index_entries,
    memories,
    postings,
    scope_statistics,
    sessions,
    vectors,
)
from agentmem.features.memories.upkeep import remove_index
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.operations import operation

ERASED_AT_ONCE: Final = 200
_BY_USER: Final = (vectors, index_entries, postings, scope_statistics, sessions)


@dataclass(frozen=True, kw_only=True)
class MemoryErasing:
    """Erasure of a user from the caller's memories; every operation may be repeated, and removes what is left."""

    database: Database

    @operation(Permission.MEMORY_MAINTAIN, audit="memory.erased")
    async def erase(self, tx: Transaction, user_id: str) -> Mapping[str, int]:
        """Remove the next memories of a user, with all their versions and whatever finds them, and count them.

        Nothing is counted when none is left.
        """
        of_user = select(memories.c.memory_id).distinct().where(tx.own(memories), memories.c.user_id == user_id)
        ids = list((await tx.execute(of_user.order_by(memories.c.memory_id).limit(ERASED_AT_ONCE))).scalars())
        if not ids:
            return {}
        versions = await remove_for_good(tx, ids)
        tx.touch(ids)
        return {"memories": len(ids), "memory_versions": versions}

    @operation(Permission.MEMORY_MAINTAIN, read_only=True)
    async def written_before(self, tx: Transaction, erased: Mapping[bytes, datetime]) -> list[str]:
        """Name the users of whom something is stored from before their erasure, which is given by subject."""
        first = select(memories.c.user_id, func.min(memories.c.updated_at)).where(
            tx.own(memories), memories.c.user_id.is_not(None)
        )
        subjects = [
            (user_id, tx.keys.index.subject(user_id), since)
            for user_id, since in await tx.execute(first.group_by(memories.c.user_id))
        ]
        return [user_id for user_id, subject, since in subjects if subject in erased and since <= erased[subject]]

    @operation(Permission.MEMORY_MAINTAIN, audit="memory.erased")
    async def erase_rest(self, tx: Transaction, user_id: str) -> Mapping[str, int]:
        """Remove what the indexes still hold of a user whose memories are gone: statistics, conversations, remnants."""
        removed: Counter[str] = Counter()
        await hold_rewriting(tx)
        for table in _BY_USER:
            gone = await tx.execute(delete(table).where(tx.own(table), table.c.user_id == user_id))
            removed[table.name] += gone.rowcount
        return dict(removed)


async def remove_for_good(tx: Transaction, ids: Sequence[UUID]) -> int:
    """Remove memories with all their versions and whatever finds them, and say how many versions that were."""
    await hold_rewriting(tx)
    await lock_ids(tx, ids)
    every = and_(tx.own(memories), memories.c.memory_id.in_(ids))
    live = and_(memories.c.known_until.is_(None), memories.c.deleted_at.is_(None))
    sizes = (
        await tx.execute(
            select(
                func.count().filter(live).label("live"),
                func.count().label("versions"),
                func.coalesce(func.sum(func.octet_length(memories.c.content)), 0).label("bytes"),
            ).where(every)
        )
    ).one()
    used = Used(memories=-sizes.live, versions=-sizes.versions, content_bytes=-int(sizes.bytes))
    await remove_index(tx, ids, used)
    await forget_provenance(tx, ids)
    await tx.execute(delete(memories).where(every))
    return int(sizes.versions)
