"""Changes to many memories at once: what is new in their texts is embedded first, then one operation writes."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from agentmem.errors import VersionConflict
from agentmem.features.memories.batches import MemoryBatches, target_of
from agentmem.features.memories.model import PreparedMemory
from agentmem.foundation.authorization.caller import Caller
from agentmem.kit.ids import MemoryId
from agentmem.pipelines.ingestion.pipeline import UPDATE_ATTEMPTS, Ingestion, changes_index, patched
from agentmem.schemas.memories import MemoryRecord
from agentmem.schemas.requests import IdAtVersion, PatchOf


@dataclass(frozen=True, kw_only=True)
class Batches:
    """Changes up to a thousand memories in one call, all or none."""

    stored: MemoryBatches
    ingestion: Ingestion

    async def update(self, caller: Caller, changes: Sequence[PatchOf]) -> list[MemoryRecord]:
        """Change memories, and give them as they are then, in the order of the changes."""
        for change in changes:
            self.ingestion.check_expiry(change.expires_at)
        indexed = {MemoryId(change.id) for change in changes if changes_index(change.patch)}
        for attempt in range(1, UPDATE_ATTEMPTS + 1):
            records = await self.stored.present(caller, [target_of(change) for change in changes]) if indexed else []
            prepared = await self._prepare(changes, records, indexed)
            try:
                return await self.stored.update(caller, _at_versions_read(changes, records), prepared)
            except VersionConflict:
                # Somebody else changed one while new texts were embedded: read and embed again.
                if not indexed or attempt == UPDATE_ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    async def delete(self, caller: Caller, wanted: Sequence[IdAtVersion]) -> int:
        """Delete memories, and say how many."""
        return await self.stored.delete(caller, wanted)

    async def _prepare(
        self, changes: Sequence[PatchOf], records: Sequence[MemoryRecord], indexed: AbstractSet[MemoryId]
    ) -> dict[MemoryId, PreparedMemory]:
        if not indexed:
            return {}
        drafts = {
            # Each in a thread of its own: memories that change together do not become neighbours.
            MemoryId(record.id): replace(patched(record, change.patch), thread=number)
            for number, (change, record) in enumerate(zip(changes, records, strict=True))
            if record.id in indexed
        }
        prepared = await self.ingestion.prepare_or_defer(list(drafts.values()))
        return dict(zip(drafts, prepared, strict=True))


def _at_versions_read(changes: Sequence[PatchOf], records: Sequence[MemoryRecord]) -> list[PatchOf]:
    """Let changes expect the versions that their new texts were made from."""
    read = {record.id: record.version for record in records}
    return [change.model_copy(update={"if_version": read.get(change.id, change.if_version)}) for change in changes]
