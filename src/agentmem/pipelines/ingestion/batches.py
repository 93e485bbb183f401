"""Changes to memories, one or many at once: what is new in their texts is embedded first, then one operation writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agentmem.errors import VersionConflict
from agentmem.features.memories.batches import MemoryBatches, target_of
from agentmem.features.memories.model import PreparedMemory
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.masking.classifier import Classifier
from agentmem.kit.ids import MemoryId
from agentmem.pipelines.ingestion.classifying import ClassChange, Reclassifying, patched
from agentmem.pipelines.ingestion.masking import masked
from agentmem.pipelines.ingestion.pipeline import Ingestion
from agentmem.schemas.memories import MemoryPatch, MemoryRecord
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
        classifier = await self.ingestion.rules.classification(caller.organization_id)
        read = any(_changes_index(change) or _may_classify(change, classifier) for change in changes)
        reclassifying = Reclassifying(stored=self.stored, ingestion=self.ingestion)
        for attempt in range(1, UPDATE_ATTEMPTS + 1):
            records = await self.stored.present(caller, [target_of(change) for change in changes]) if read else []
            classified = changes
            if records:
                pairs = zip(changes, records, strict=True)
                classified = [_classified(change, record, classifier) for change, record in pairs]
            prepared = await self._prepare(caller, classified, records)
            classes = await reclassifying.prepare(caller, _class_changes(classified, records))
            try:
                return await self.stored.update(caller, _at_versions_read(classified, records), prepared, classes)
            except VersionConflict:
                # Somebody else changed one while new texts were embedded: read and embed again.
                if not read or attempt == UPDATE_ATTEMPTS:
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
    ) -> dict[MemoryId, PreparedMemory]:
        drafts = {
            MemoryId(record.id): patched(record, change)
            for change, record in zip(changes, records, strict=bool(records))
            if _changes_index(change)
        }
        prepared = await self.ingestion.prepare_or_defer(caller, list(drafts.values())) if drafts else []
        return dict(zip(drafts, prepared, strict=True))


def _at_versions_read(changes: Sequence[PatchOf], records: Sequence[MemoryRecord]) -> list[PatchOf]:
    """Let changes expect the versions that their new texts were made from."""
    read = {record.id: record.version for record in records}
    return [change.model_copy(update={"if_version": read.get(change.id, change.if_version)}) for change in changes]


def _changes_index(patch: MemoryPatch) -> bool:
    """Tell whether a patch changes what a memory is found by, so that it must be analysed and embedded anew."""
    return bool({"content", "occurred_at"} & patch.model_fields_set)


def _may_classify(patch: MemoryPatch, classifier: Classifier) -> bool:
    """Tell whether the class of a memory may be another one by a patch: it says so, or a rule may."""
    said = patch.model_fields_set & {"content", "metadata", "classification"}
    return "classification" in said or bool(said and classifier.policy.rules)


def _classified(change: PatchOf, record: MemoryRecord, classifier: Classifier) -> PatchOf:
    """Let a change say the class that the memory has by it: the highest of what is asked for and what the rules say."""
    wanted = change.classification or record.classification
    said = {
        "content": record.content if change.content is None else change.content,
        "metadata": record.metadata if change.metadata is None else change.metadata,
        "classification": wanted,
    }
    ruled = classifier.ruled(record.model_copy(update=said), record.origin)
    if ruled is wanted:
        return change
    return change.model_copy(update={"classification": ruled})


def _class_changes(changes: Sequence[PatchOf], records: Sequence[MemoryRecord]) -> dict[MemoryId, ClassChange]:
    return {
        MemoryId(record.id): ClassChange(before=record.classification, after=change.classification)
        for change, record in zip(changes, records, strict=bool(records))
        if change.classification is not None and change.classification is not record.classification
    }
