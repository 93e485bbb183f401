"""Erasing a person: every row and index, then the key, then the bytes that removed rows leave in files.

What is to be done is what the tables show: a job that dies is done again, and removes what is left.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from agentmem.features.memories.erasing import MemoryErasing
from agentmem.features.organizations.platform import PlatformService
from agentmem.features.privacy.jobs import ERASE
from agentmem.features.privacy.service import PrivacyService
from agentmem.foundation.authorization.caller import Caller, service_caller
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.inspect import Caretaker
from agentmem.foundation.jobs.model import Job, Work
from agentmem.foundation.jobs.upkeep import Schedule
from agentmem.foundation.ledger.requests import IdempotentRequests
from agentmem.kit.ids import OrganizationId
from agentmem.schemas.privacy import Erasure, SubjectMarks, SubjectState

VISITED_AT_ONCE: Final = 500
LOOKED_SECONDS: Final = 600.0
"""Seconds between two looks whether the tables are due to be written anew."""


@dataclass(frozen=True, kw_only=True)
class Privacy:
    """Erases persons; ``window`` is how long removed bytes may stay in the files of the database."""

    service: PrivacyService
    memories: MemoryErasing
    requests: IdempotentRequests
    platform: PlatformService
    database: Database
    caretakers: Sequence[Caretaker]
    """Of the memories, and of the keys where they are elsewhere."""
    window: timedelta

    def works(self) -> Sequence[Work]:
        """Give the job that erases."""
        return (Work(kind=ERASE, run=self._erase),)

    def schedules(self) -> Sequence[Schedule]:
        """Give the round that writes the tables anew when it is time."""
        return (Schedule(name="rewriting", seconds=LOOKED_SECONDS, run=self.rewrite_due),)

    async def erase(self, caller: Caller, user_id: str) -> Erasure:
        """Ask for the erasure of a user, and refuse from now on what would be written about them.

        Raises :class:`Conflict` while the user is held.
        """
        return await self.service.begin(caller, user_id)

    async def certificate(self, caller: Caller, erasure_id: UUID) -> Erasure:
        """Read how far an erasure is, and what it removed."""
        return await self.service.get(caller, erasure_id)

    async def mark(self, caller: Caller, marks: SubjectMarks) -> SubjectState:
        """Hold or restrict a user, or end that."""
        await self.service.mark(caller, marks)
        return SubjectState(held=marks.held, restricted=marks.restricted)

    async def marks(self, caller: Caller, user_id: str) -> SubjectState:
        """Read whether a user is held or restricted."""
        found = await self.service.marks(caller, user_id)
        return SubjectState(held=found.held, restricted=found.restricted)

    async def rewrite_due(self) -> bool:
        """Write the tables anew if the first erasure that waits for it has done so for half of the window."""
        waiting = [since async for _, since in self._waiting()]
        due = bool(waiting) and min(waiting) <= self.database.clock() - self.window / 2
        if due:
            await self.rewrite()
        return due

    async def rewrite(self) -> None:
        """Write the tables anew now, so that no removed bytes are left; whoever reads or writes waits meanwhile."""
        began = self.database.clock()
        waiting = [organization_id async for organization_id, _ in self._waiting()]
        for caretaker in self.caretakers:
            await caretaker.rewrite()
        for organization_id in waiting:
            await self.service.note_rewritten(service_caller(organization_id), began)

    async def _waiting(self) -> AsyncIterator[tuple[OrganizationId, datetime]]:
        after: OrganizationId | None = None
        while found := await self.platform.all_ids(after, VISITED_AT_ONCE):
            for organization_id in found:
                since = await self.service.waiting_since(service_caller(organization_id))
                if since is not None:
                    yield organization_id, since
            after = found[-1]

    async def _erase(self, caller: Caller, job: Job) -> None:
        erasure_id = UUID(str(job.arguments["erasure"]))
        user_id = await self.service.whom(caller, erasure_id)
        if user_id is None:
            return
        while removed := await self.memories.erase(caller, user_id):
            await self.service.count(caller, erasure_id, removed)
            job.progress.done += removed["memories"]
        await self.service.count(caller, erasure_id, await self.memories.erase_rest(caller, user_id))
        # Answers that are kept for repeated requests may quote anybody.
        answers = await self.requests.forget_all(caller)
        await self.service.count(caller, erasure_id, {"stored_answers": answers})
        keys = await self.database.keys(caller.organization_id)
        destroyed = await self.database.subjects.destroy(caller.organization_id, keys.index.subject(user_id))
        await self.service.finish(caller, erasure_id, destroyed)
