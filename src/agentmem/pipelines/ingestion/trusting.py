"""Undoing what should not have been remembered: tainting it, and taking a scope back to a moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from agentmem.features.memories.batches import MemoryBatches
from agentmem.features.memories.rolling_back import Changed, MemoryRollback
from agentmem.features.memories.trust import MemoryTrust
from agentmem.foundation.authorization.caller import Caller
from agentmem.kit.ids import MemoryId
from agentmem.pipelines.ingestion.classifying import ClassChange, Reclassifying, patched
from agentmem.pipelines.ingestion.pipeline import Ingestion
from agentmem.schemas.classification import Classification
from agentmem.schemas.memories import MemoryPatch, MemoryRecord
from agentmem.schemas.provenance import Rollback, Taint, Undone

TOGETHER: Final = 200
NAMED: Final = 100


@dataclass(frozen=True, kw_only=True)
class Trusting:
    """Finds and undoes what is no longer believed, in batches: what was done before an interruption stays done."""

    trust: MemoryTrust
    stored: MemoryRollback
    batches: MemoryBatches
    ingestion: Ingestion

    async def taint(self, caller: Caller, taint: Taint) -> Undone:
        """Taint what is named and all that was derived from it, or say what that would be."""
        if taint.dry_run:
            return _undone(await self.trust.believed(caller, taint), dry_run=True)
        done: list[UUID] = []
        while step := await self.trust.taint(caller, taint):
            done += step
        return _undone(done, dry_run=False)

    async def roll_back(self, caller: Caller, asked: Rollback) -> Undone:
        """Take a scope back to a moment, or say what that would change."""
        done: list[UUID] = []
        after: UUID | None = None
        while found := await self.stored.changed(caller, asked, after, TOGETHER):
            after = found[-1].current.record.id
            changes = [item for item in found if item.differs]
            if asked.dry_run:
                done += [item.current.record.id for item in changes]
            elif changes:
                done += await self._roll_back(caller, changes)
        return _undone(done, dry_run=asked.dry_run)

    async def _roll_back(self, caller: Caller, changes: list[Changed]) -> list[UUID]:
        raised = await self._raised(caller, changes)
        drafts = {
            item.current.record.id: patched(item.then, MemoryPatch(classification=_class_of(item.then, raised)))
            for item in changes
            if item.then is not None and item.says_otherwise
        }
        prepared = await self.ingestion.prepare_or_defer(caller, list(drafts.values())) if drafts else []
        reclassified = await Reclassifying(stored=self.batches, ingestion=self.ingestion).prepare(caller, raised)
        return await self.stored.roll_back(caller, changes, dict(zip(drafts, prepared, strict=True)), reclassified)

    async def _raised(self, caller: Caller, changes: list[Changed]) -> dict[MemoryId, ClassChange]:
        """Say which memories a rule gives a higher class, by what they say again."""
        classifier = await self.ingestion.rules.classification(caller.organization_id)
        then = [item.then for item in changes if item.then is not None]
        ruled = [(record, classifier.ruled(record, record.origin)) for record in then]
        return {
            MemoryId(record.id): ClassChange(before=record.classification, after=wanted)
            for record, wanted in ruled
            if wanted is not record.classification
        }


def _class_of(record: MemoryRecord, raised: Mapping[MemoryId, ClassChange]) -> Classification:
    change = raised.get(MemoryId(record.id))
    return record.classification if change is None else change.after


def _undone(ids: list[UUID], *, dry_run: bool) -> Undone:
    return Undone(memories=len(ids), first=ids[:NAMED], dry_run=dry_run)
