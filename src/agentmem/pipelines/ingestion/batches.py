"""Changes to memories, one or many at once: what is new in their texts is embedded first, then one operation writes."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from agentmem.errors import VersionConflict
from agentmem.features.memories.batches import MemoryBatches, target_of
from agentmem.features.memories.model import PreparedMemory
from agentmem.foundation.authorization.caller import Caller
from agentmem.kit.ids import MemoryId
from agentmem.pipelines.ingestion.masking import masked
from agentmem.pipelines.ingestion.pipeline import Draft, Ingestion
from agentmem.schemas.memories import MemoryPatch, MemoryRecord, NewMemory, OnDuplicate
from agentmem.schemas.requests import IdAtVersion, PatchOf

UPDATE_ATTEMPTS: Final = 3


@dataclass(frozen=True, kw_only=True)
class Batches:
    """Changes up to a thousand memories in one call, all or none."""

    stored: MemoryBatches
    ingestion: Ingestion

    async def update(self, caller: Caller, changes: Sequence[PatchOf]) -> list[MemoryRecord]:
        """Change memories, and give them as they are then, in the order of the changes."""
        for change in changes:
            self.ingestion.check_expiry(change.expires_at)
        rule = await self.ingestion.rules.masking(caller.organization_id)
        if rule.policy.stored:
            changes = [masked(change, rule) for change in changes]
        indexed = {MemoryId(change.id) for change in changes if _changes_index(change)}
        for attempt in range(1, UPDATE_ATTEMPTS + 1):
            records = await self.stored.present(caller, [target_of(change) for change in changes]) if indexed else []
            prepared = await self._prepare(caller, changes, records, indexed)
            try:
                return await self.stored.update(caller, _at_versions_read(changes, records), prepared)
            except VersionConflict:
                # Somebody else changed one while new texts were embedded: read and embed again.
                if not indexed or attempt == UPDATE_ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    async def update_one(
        self, caller: Caller, memory_id: MemoryId, patch: MemoryPatch, if_version: int | None = None
    ) -> MemoryRecord:
        """Change one memory; raises :class:`VersionConflict` unless it is at ``if_version``."""
        (record,) = await self.update(caller, [PatchOf.of(memory_id, patch, if_version)])
        return record

    async def delete(self, caller: Caller, wanted: Sequence[IdAtVersion]) -> int:
        """Delete memories, and say how many."""
        return await self.stored.delete(caller, wanted)

    async def _prepare(
        self,
        caller: Caller,
        changes: Sequence[PatchOf],
        records: Sequence[MemoryRecord],
        indexed: AbstractSet[MemoryId],
    ) -> dict[MemoryId, PreparedMemory]:
        if not indexed:
            return {}
        drafts = {
            MemoryId(record.id): _patched(record, change)
            for change, record in zip(changes, records, strict=True)
            if record.id in indexed
        }
        prepared = await self.ingestion.prepare_or_defer(caller, list(drafts.values()))
        return dict(zip(drafts, prepared, strict=True))


def _at_versions_read(changes: Sequence[PatchOf], records: Sequence[MemoryRecord]) -> list[PatchOf]:
    """Let changes expect the versions that their new texts were made from."""
    read = {record.id: record.version for record in records}
    return [change.model_copy(update={"if_version": read.get(change.id, change.if_version)}) for change in changes]


def _changes_index(patch: MemoryPatch) -> bool:
    """Tell whether a patch changes what a memory is found by, so that it must be analysed and embedded anew."""
    return bool({"content", "occurred_at"} & patch.model_fields_set)


def _patched(record: MemoryRecord, patch: MemoryPatch) -> Draft:
    """Make the draft of a memory as the patch leaves it: what its index needs."""
    new = NewMemory(
        content=patch.content if patch.content is not None else record.content,
        actor=record.actor,
        user_id=record.user_id,
        occurred_at=patch.occurred_at or record.occurred_at,
    )
    return Draft(new=new, thread=0, on_duplicate=OnDuplicate.KEEP)
