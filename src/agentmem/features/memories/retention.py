"""Operations that remove for good what an organization's rules keep no longer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import and_, func, select
from sqlalchemy.sql import ColumnElement

from agentmem.features.memories.erasing import remove_for_good
from agentmem.features.memories.jobs import ALL, RETAIN
from agentmem.features.memories.tables import memories
from agentmem.features.memories.visibility import unheld
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.holding import hold_subjects
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.jobs.queue import enqueue
from agentmem.kit.ids import JobId
from agentmem.operations import operation
from agentmem.schemas.retention import RetentionOutcome, RetentionRule

REMOVED_AT_ONCE: Final = 200


@dataclass(frozen=True, kw_only=True)
class MemoryRetention:
    """Removal of memories that were kept for long enough; every step may be repeated, and removes what is left."""

    database: Database

    @operation(Permission.MEMORY_MAINTAIN, read_only=True)
    async def due(self, tx: Transaction, rule: RetentionRule) -> RetentionOutcome:
        """Count what a rule would remove now, and what it spares."""
        removed = func.count().filter(unheld(tx)).label("removed")
        row = (await tx.execute(select(removed, func.count().label("due")).where(_due(tx, rule)))).one()
        return RetentionOutcome(rule=rule, memories=row.removed, kept=row.due - row.removed)

    @operation(Permission.MEMORY_MAINTAIN, audit="memory.retention_ordered")
    async def order(self, tx: Transaction) -> JobId:
        """Ask for the job that removes what the rules keep no longer; one that waits already is that one."""
        job_id = await enqueue(tx, RETAIN, once=ALL)
        tx.touch([job_id])
        return job_id

    @operation(Permission.MEMORY_MAINTAIN, audit="memory.retired")
    async def remove(self, tx: Transaction, rule: RetentionRule) -> int:
        """Remove the next memories that a rule keeps no longer, and say how many.

        A hold that comes at the same time is waited for, and wins. Raises :class:`Conflict` when a user has just been
        restricted, or is being erased.
        """
        gone = and_(_due(tx, rule), unheld(tx))
        chosen = select(memories.c.memory_id, memories.c.user_id).where(gone).order_by(memories.c.memory_id)
        found = (await tx.execute(chosen.limit(REMOVED_AT_ONCE))).all()
        if not found:
            return 0
        await hold_subjects(tx, {row.user_id for row in found})
        still = select(memories.c.memory_id).where(gone, memories.c.memory_id.in_([row.memory_id for row in found]))
        ids = list((await tx.execute(still)).scalars())
        if ids:
            await remove_for_good(tx, ids)
        tx.touch(ids)
        return len(found)


def _due(tx: Transaction, rule: RetentionRule) -> ColumnElement[bool]:
    given = rule.scope.model_dump(exclude_none=True)
    if rule.kind is not None:
        given["kind"] = rule.kind.value
    return and_(
        tx.own(memories),
        memories.c.known_until.is_(None),
        memories.c.created_at <= tx.now - timedelta(days=rule.days),
        *(memories.c[name] == value for name, value in given.items()),
    )
