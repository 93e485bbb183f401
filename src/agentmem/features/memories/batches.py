"""Changes to many memories at once: all of them are done, or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from agentmem.errors import InvalidInput
from agentmem.features.memories.binding import require_reach
from agentmem.features.memories.classifying import NO_CLASSES, Reclassified, reclassify, texts_of_memories
from agentmem.features.memories.model import PreparedMemory, StoredVersion
from agentmem.features.memories.revising import Revision, succeed_with
from agentmem.features.memories.service import end, fetch_to_change
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import MemoryId
from agentmem.operations import operation
from agentmem.schemas.memories import MemoryRecord
from agentmem.schemas.requests import IdAtVersion, PatchOf


@dataclass(frozen=True, kw_only=True)
class MemoryBatches:
    """Changes up to a thousand memories of the caller's organization in one transaction."""

    database: Database

    @operation(Permission.MEMORY_READ, read_only=True)
    async def present(self, tx: Transaction, wanted: Sequence[IdAtVersion]) -> list[MemoryRecord]:
        """Read live memories as they are now, in the order given; the errors are those of :meth:`update`."""
        _require_distinct([item.id for item in wanted])
        return [version.record for version in await fetch_to_change(tx, wanted, lock=False)]

    @operation(Permission.MEMORY_READ, read_only=True)
    async def texts(self, tx: Transaction, ids: Sequence[MemoryId]) -> list[StoredVersion]:
        """Read all that memories have said, of each text the version that says it last."""
        found = await texts_of_memories(tx, ids)
        require_reach(tx.caller, [version.record for version in found])
        return found

    @operation(Permission.MEMORY_WRITE, audit="memory.updated")
    async def update(
        self,
        tx: Transaction,
        changes: Sequence[PatchOf],
        prepared: Mapping[MemoryId, PreparedMemory],
        classes: Mapping[MemoryId, Reclassified] = NO_CLASSES,
    ) -> list[MemoryRecord]:
        """Add a version to each memory; ``prepared`` carries the index of those that get new content.

        ``classes`` are for those of which the class changes; a lower one is for callers who may declassify. Raises
        :class:`NotFound` and :class:`VersionConflict` for the first change that cannot be made.
        """
        _require_distinct([change.id for change in changes])
        found = await fetch_to_change(tx, [target_of(change) for change in changes])
        if classes:
            found = await reclassify(tx, found, classes)
        revisions = [
            Revision(current=current, patch=change.patch, prepared=prepared.get(MemoryId(change.id)))
            for current, change in zip(found, changes, strict=True)
        ]
        return await succeed_with(tx, revisions) if revisions else []

    @operation(Permission.MEMORY_DELETE, audit="memory.deleted")
    async def delete(self, tx: Transaction, wanted: Sequence[IdAtVersion]) -> int:
        """Delete memories, and say how many; the errors are those of :meth:`update`."""
        _require_distinct([item.id for item in wanted])
        if wanted:
            await end(tx, await fetch_to_change(tx, wanted))
        return len(wanted)


def target_of(change: PatchOf) -> IdAtVersion:
    """Give the memory that a change is for, and the version that it expects."""
    return IdAtVersion(id=change.id, if_version=change.if_version)


def _require_distinct(ids: Sequence[UUID]) -> None:
    """Refuse a batch that names a memory twice: which of two changes holds would be left to chance."""
    for memory_id, times in Counter(ids).items():
        if times > 1:
            raise InvalidInput(f"Memory {memory_id} is named {times} times.", hint="Name each memory once.")
