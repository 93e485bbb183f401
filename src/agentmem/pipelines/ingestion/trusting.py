"""Undoing what should not have been remembered: tainting it, and taking a scope back to a moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from agentmem.features.memories.rolling_back import Changed, MemoryRollback
from agentmem.features.memories.trust import MemoryTrust
from agentmem.foundation.authorization.caller import Caller
from agentmem.pipelines.ingestion.pipeline import Draft, Ingestion
from agentmem.schemas.memories import NewMemory, OnDuplicate
from agentmem.schemas.provenance import Rollback, Taint, Undone

TOGETHER: Final = 200
NAMED: Final = 100


@dataclass(frozen=True, kw_only=True)
class Trusting:
    """Finds and undoes what is no longer believed, in batches: what was done before an interruption stays done."""

    trust: MemoryTrust
    stored: MemoryRollback
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
        drafts = {
            item.current.record.id: Draft(
                new=NewMemory(
                    content=item.then.content,
                    actor=item.then.actor,
                    user_id=item.then.user_id,
                    occurred_at=item.then.occurred_at,
                    classification=item.then.classification,
                ),
                thread=0,
                on_duplicate=OnDuplicate.KEEP,
            )
            for item in changes
            if item.then is not None and item.says_otherwise
        }
        prepared = await self.ingestion.prepare_or_defer(caller, list(drafts.values())) if drafts else []
        return await self.stored.roll_back(caller, changes, dict(zip(drafts, prepared, strict=True)))


def _undone(ids: list[UUID], *, dry_run: bool) -> Undone:
    return Undone(memories=len(ids), first=ids[:NAMED], dry_run=dry_run)
