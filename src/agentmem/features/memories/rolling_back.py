"""Operations that take memories back to what they were at a moment: a version is added, and nothing is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import or_, select

from agentmem.features.memories import repository
from agentmem.features.memories.classifying import NO_CLASSES, Reclassified, reclassify
from agentmem.features.memories.index_writing import set_live
from agentmem.features.memories.model import PreparedMemory, StoredVersion
from agentmem.features.memories.revising import Revision, succeed_with
from agentmem.features.memories.service import succeed
from agentmem.features.memories.tables import memories
from agentmem.features.memories.trust import TAINTED
from agentmem.features.memories.visibility import in_scope, scope_values
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import MemoryId
from agentmem.operations import operation
from agentmem.schemas.memories import MemoryPatch, MemoryRecord
from agentmem.schemas.provenance import Rollback

ROLLED_BACK: Final = "rolled_back"
_OF_A_VERSION: Final = ("version", "updated_at")
_NOBODY: Final = UUID(int=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """A memory that was changed since a moment: as it is, and as it was then (``None``: it was not, or was deleted)."""

    current: StoredVersion
    then: MemoryRecord | None

    @property
    def differs(self) -> bool:
        """Whether it is not what it was then already."""
        now = self.current.record
        if self.then is None or now.deleted_at is not None:
            return self.then is not None or now.deleted_at is None
        return now.model_copy(update={name: getattr(self.then, name) for name in _OF_A_VERSION}) != self.then

    @property
    def says_otherwise(self) -> bool:
        """Whether what is indexed of it was another text then."""
        now, then = self.current.record, self.then
        return then is not None and (now.content, now.occurred_at) != (then.content, then.occurred_at)


@dataclass(frozen=True, kw_only=True)
class MemoryRollback:
    """Takes the memories of the caller's organization back in time."""

    database: Database

    @operation(Permission.MEMORY_MAINTAIN, read_only=True)
    async def changed(self, tx: Transaction, asked: Rollback, after: UUID | None, limit: int) -> list[Changed]:
        """Read the next memories that a rollback changes, in the order of their ids."""
        values = scope_values(asked.scope)
        statement = select(*repository.RECORD_COLUMNS).where(
            tx.own(memories),
            in_scope(tuple(values)),
            memories.c.known_until.is_(None),
            memories.c.updated_at > asked.to,
            memories.c.change != TAINTED,
            memories.c.memory_id > (after or _NOBODY),
        )
        rows = await tx.execute(statement.order_by(memories.c.memory_id).limit(limit), values)
        current = await repository.to_versions(tx, rows)
        then = await _as_known(tx, [version.record.id for version in current], asked.to)
        return [Changed(current=version, then=then.get(version.record.id)) for version in current]

    @operation(Permission.MEMORY_MAINTAIN, audit="memory.rolled_back")
    async def roll_back(
        self,
        tx: Transaction,
        found: Sequence[Changed],
        prepared: Mapping[UUID, PreparedMemory],
        classes: Mapping[MemoryId, Reclassified] = NO_CLASSES,
    ) -> list[UUID]:
        """Take back those that are still as they were found; ``prepared`` carries the indexes of texts that return.

        ``classes`` are for those of which the class changes.
        """
        ids = [MemoryId(changed.current.record.id) for changed in found]
        now = {version.record.id: version for version in await repository.fetch_current(tx, ids, lock=True)}
        same = [item for item in found if now[item.current.record.id].record.version == item.current.record.version]
        current = await reclassify(tx, [now[item.current.record.id] for item in same], classes)
        same = [Changed(current=version, then=item.then) for version, item in zip(current, same, strict=True)]
        gone = [item.current for item in same if item.then is None and item.current.record.deleted_at is None]
        if gone:
            await succeed(tx, gone, ROLLED_BACK, {"deleted_at": tx.now})
            await set_live(tx, [version.place for version in gone], live=False)
        back = [
            Revision(
                current=item.current,
                patch=MemoryPatch(),
                prepared=prepared.get(item.current.record.id) if item.says_otherwise else None,
                back_to=item.then.model_copy(update={"classification": item.current.record.classification}),
            )
            for item in same
            if item.then is not None
        ]
        if back:
            await succeed_with(tx, back)
        return [version.record.id for version in (*gone, *(revision.current for revision in back))]


async def _as_known(tx: Transaction, ids: Sequence[UUID], moment: datetime) -> Mapping[UUID, MemoryRecord]:
    """Read memories as they were known at a moment, those that were not deleted then."""
    statement = select(*repository.RECORD_COLUMNS).where(
        tx.own(memories),
        memories.c.memory_id.in_(ids),
        memories.c.updated_at <= moment,
        or_(memories.c.known_until.is_(None), memories.c.known_until > moment),
        memories.c.deleted_at.is_(None),
    )
    rows = await repository.unlock(tx, await tx.execute(statement))
    return {row.memory_id: repository.to_record(tx, row) for row in rows}
