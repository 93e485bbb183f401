"""Operations on what is said of persons, and on erasures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from agentmem.errors import Conflict
from agentmem.features.privacy import repository
from agentmem.features.privacy.jobs import ERASE
from agentmem.features.privacy.model import Marks, StoredErasure
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.jobs.queue import enqueue
from agentmem.kit.ids import uuid7
from agentmem.operations import operation
from agentmem.schemas.privacy import Erasure, ExportedSubject, SubjectMarks


@dataclass(frozen=True, kw_only=True)
class PrivacyService:
    """Operations about the persons in the caller's organization; backups are kept for ``backups_kept``."""

    database: Database
    backups_kept: timedelta = timedelta(0)

    @operation(Permission.PRIVACY_MANAGE, audit="privacy.erasure_ordered")
    async def begin(self, tx: Transaction, user_id: str) -> Erasure:
        """Ask for the erasure of a user, about whom nothing is written from here on; one under way is that one.

        Waits for those who write about the user. Raises :class:`Conflict` while the user is held.
        """
        subject = tx.keys.index.subject(user_id)
        await repository.wait_for_writers(tx, subject)
        marks = await repository.fetch_marks(tx, subject)
        if marks.held:
            raise Conflict("This user is held, and not erased.", hint="Lift the hold first.")
        erasure_id = await repository.unfinished(tx, subject)
        if erasure_id is None:
            erasure_id = uuid7()
            await repository.mark(tx, subject, user_id=user_id, erasing=True, restricted=False)
            await repository.add_erasure(tx, erasure_id, subject)
            await enqueue(tx, ERASE, {"erasure": str(erasure_id)})
        tx.touch([erasure_id])
        return self._view(await repository.fetch_erasure(tx, erasure_id))

    @operation(Permission.PRIVACY_READ, read_only=True)
    async def get(self, tx: Transaction, erasure_id: UUID) -> Erasure:
        """Read an erasure, or its certificate; raises :class:`NotFound`."""
        return self._view(await repository.fetch_erasure(tx, erasure_id))

    @operation(Permission.MEMORY_MAINTAIN, read_only=True)
    async def whom(self, tx: Transaction, erasure_id: UUID) -> str | None:
        """Say who is to be erased; nobody if that is done."""
        erasure = await repository.fetch_erasure(tx, erasure_id)
        marks = await repository.fetch_marks(tx, erasure.subject)
        return marks.user_id if marks.erasing else None

    @operation(Permission.MEMORY_MAINTAIN)
    async def count(self, tx: Transaction, erasure_id: UUID, removed: Mapping[str, int]) -> None:
        """Add to what an erasure has removed."""
        await repository.count_removed(tx, erasure_id, removed)

    @operation(Permission.MEMORY_MAINTAIN, audit="privacy.erased")
    async def finish(self, tx: Transaction, erasure_id: UUID, destroyed: Sequence[UUID]) -> None:
        """End an erasure, with the keys that were destroyed."""
        erasure = await repository.fetch_erasure(tx, erasure_id)
        await repository.count_removed(tx, erasure_id, {"keys": len(destroyed)})
        await repository.finish(tx, erasure_id, erasure.subject, destroyed)
        tx.touch([erasure_id])

    @operation(Permission.PRIVACY_MANAGE, audit="privacy.subject_marked")
    async def mark(self, tx: Transaction, marks: SubjectMarks) -> None:
        """Hold or restrict a user, or end that; raises :class:`Conflict` while the user is being erased."""
        subject = tx.keys.index.subject(marks.user_id)
        await repository.wait_for_writers(tx, subject)
        found = await repository.fetch_marks(tx, subject)
        if found.erasing:
            raise Conflict("This user is being erased.", hint="Wait for the erasure to end.")
        marked = marks.held or marks.restricted
        user_id = marks.user_id if marked else None
        await repository.mark(tx, subject, user_id=user_id, held=marks.held, restricted=marks.restricted)

    @operation(Permission.PRIVACY_READ, read_only=True)
    async def marks(self, tx: Transaction, user_id: str) -> Marks:
        """Read whether a user is held or restricted."""
        return await repository.fetch_marks(tx, tx.keys.index.subject(user_id))

    @operation(Permission.PRIVACY_READ, audit="privacy.exported")
    async def begin_export(self, tx: Transaction, user_id: str) -> ExportedSubject:
        """Write down that all that is stored about a user is given away, and say what holds for them."""
        marks = await repository.fetch_marks(tx, tx.keys.index.subject(user_id))
        return ExportedSubject(user_id=user_id, exported_at=tx.now, held=marks.held, restricted=marks.restricted)

    @operation(Permission.PRIVACY_READ, read_only=True)
    async def erasures_of(self, tx: Transaction, user_id: str) -> list[Erasure]:
        """Read the erasures of a user, the oldest first."""
        return [self._view(row) for row in await repository.fetch_erasures(tx, tx.keys.index.subject(user_id))]

    @operation(Permission.MEMORY_MAINTAIN, read_only=True)
    async def waiting_since(self, tx: Transaction) -> datetime | None:
        """Say since when an erasure waits for the tables to be written anew."""
        return await repository.oldest_unrewritten(tx)

    @operation(Permission.MEMORY_MAINTAIN)
    async def note_rewritten(self, tx: Transaction, began: datetime) -> None:
        """Write down that the tables were written anew, from a moment on."""
        await repository.note_rewritten(tx, began)

    def _view(self, row: StoredErasure) -> Erasure:
        finished = row.finished_at
        return Erasure(
            id=row.erasure_id,
            subject=row.subject.hex(),
            requested_by=row.requested_by,
            requested_at=row.requested_at,
            finished_at=finished,
            removed=dict(row.removed),
            rewritten_at=row.rewritten_at,
            backups_expire_at=None if finished is None else finished + self.backups_kept,
        )
