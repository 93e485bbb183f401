"""Operations on how far memories are trusted: where they come from, promotion, and tainting what is not believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import and_, exists, select

from agentmem.errors import Conflict, PermissionDenied
from agentmem.features.memories import repository
from agentmem.features.memories.binding import require_reach
from agentmem.features.memories.index_writing import set_live
from agentmem.features.memories.model import is_higher
from agentmem.features.memories.provenance import descendants, fetch_provenance, is_one_of
from agentmem.features.memories.service import fetch_to_change, succeed
from agentmem.features.memories.tables import memories, memory_provenance
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import MemoryId
from agentmem.operations import operation
from agentmem.schemas.memories import MemoryRecord, Origin, Provenance
from agentmem.schemas.provenance import Promotion, Taint
from agentmem.schemas.requests import IdAtVersion

TAINTED: Final = "tainted"
TAINTED_AT_ONCE: Final = 500
_SAYS: Final = ("added", "updated", "rolled_back")
"""Changes by which somebody has said what a memory says."""


@dataclass(frozen=True, kw_only=True)
class MemoryTrust:
    """How far the memories of the caller's organization are trusted."""

    database: Database

    @operation(Permission.MEMORY_READ, read_only=True)
    async def provenance(self, tx: Transaction, memory_id: MemoryId) -> Provenance:
        """Read who wrote a memory, with what and from what; deleted memories have it too."""
        versions = await repository.fetch_history(tx, memory_id)
        require_reach(tx.caller, [version.record for version in versions])
        return await fetch_provenance(tx, versions[0])

    @operation(Permission.MEMORY_PROMOTE, audit="memory.promoted")
    async def promote(
        self, tx: Transaction, memory_id: MemoryId, promotion: Promotion, if_version: int | None = None
    ) -> MemoryRecord:
        """Trust a memory further; raises :class:`Conflict` where it is trusted so far, or further, already.

        Nobody lends more trust than they have: :class:`PermissionDenied`.
        """
        (current,) = await fetch_to_change(tx, [IdAtVersion(id=memory_id, if_version=if_version)])
        wanted, held = promotion.authority, current.record.authority
        if is_higher(wanted, tx.caller.origin):
            raise PermissionDenied(
                f"{tx.caller.principal_id} is trusted as {tx.caller.origin.value}, and cannot lend more than that."
            )
        if not is_higher(wanted, held):
            raise Conflict(f"Memory {memory_id} has the authority {held.value}, which is not below {wanted.value}.")
        (promoted,) = await succeed(tx, [current], "promoted", {"authority": wanted})
        return promoted

    @operation(Permission.MEMORY_MAINTAIN, read_only=True)
    async def believed(self, tx: Transaction, taint: Taint) -> list[UUID]:
        """Find what a taint names that is there and not tainted, and what was derived from it, in the order of ids."""
        return await _believed(tx, taint)

    @operation(Permission.MEMORY_MAINTAIN, audit="memory.tainted")
    async def taint(self, tx: Transaction, taint: Taint) -> list[UUID]:
        """Take the next of what a taint names out of every read, and trust it least of all, even if it is restored."""
        ids = [MemoryId(memory_id) for memory_id in (await _believed(tx, taint))[:TAINTED_AT_ONCE]]
        found = await repository.fetch_current(tx, ids, lock=True) if ids else []
        live = [version for version in found if version.record.deleted_at is None]
        if live:
            await succeed(tx, live, TAINTED, {"deleted_at": tx.now, "authority": Origin.IMPORT})
            await set_live(tx, [version.place for version in live], live=False)
        return [version.record.id for version in live]


async def _believed(tx: Transaction, taint: Taint) -> list[UUID]:
    said = [tx.own(memories), memories.c.change.in_(_SAYS)]
    if taint.origin is not None:
        said.append(memories.c.origin == taint.origin.value)
    if taint.actor is not None:
        said.append(memories.c.changed_by == taint.actor)
    if taint.since is not None:
        said.append(memories.c.updated_at >= taint.since)
    if taint.until is not None:
        said.append(memories.c.updated_at < taint.until)
    if taint.ids is not None:
        said.append(memories.c.memory_id.in_(taint.ids))
    if taint.api_key is not None:
        added = and_(
            memory_provenance.c.memory_id == memories.c.memory_id, memory_provenance.c.api_key == taint.api_key
        )
        said.append(exists().where(tx.own(memory_provenance), added))
    named = (await tx.execute(select(memories.c.memory_id).where(*said).distinct())).scalars()
    live = and_(
        is_one_of(memories.c.memory_id, await descendants(tx, named)),
        memories.c.known_until.is_(None),
        memories.c.deleted_at.is_(None),
    )
    statement = select(memories.c.memory_id).where(tx.own(memories), live)
    return list((await tx.execute(statement.order_by(memories.c.memory_id))).scalars())
