"""Operations on the background jobs of the caller's organization."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from agentmem.errors import Conflict
from agentmem.features.jobs import repository
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.jobs.queue import settle
from agentmem.kit.paging import decode_id, query_fingerprint
from agentmem.operations import operation
from agentmem.schemas.jobs import JobQuery, JobRecord, JobState
from agentmem.schemas.memories import Page, page_by_id

KEPT: Final = timedelta(days=14)
SWEPT_AT_ONCE: Final = 1000
_ENDED: Final = frozenset({JobState.FAILED, JobState.DISCARDED})


@dataclass(frozen=True, kw_only=True)
class JobService:
    """Reading jobs, and deciding about those that failed; ended ones are ``kept`` so long."""

    database: Database
    kept: timedelta = KEPT

    @operation(Permission.JOB_READ, read_only=True)
    async def page(self, tx: Transaction, query: JobQuery) -> Page[JobRecord]:
        """Read a page of jobs, the newest first; raises :class:`InvalidCursor`."""
        fingerprint = query_fingerprint(f"jobs {query.state} {query.kind}")
        found = await repository.fetch_page(tx, query, decode_id(query.cursor, fingerprint), query.limit + 1)
        return page_by_id(found, query.limit, fingerprint)

    @operation(Permission.JOB_READ, read_only=True)
    async def get(self, tx: Transaction, job_id: UUID) -> JobRecord:
        """Read one job; raises :class:`NotFound`."""
        return await repository.fetch_job(tx, job_id)

    @operation(Permission.JOB_WRITE, audit="job.retried")
    async def retry(self, tx: Transaction, job_id: UUID) -> JobRecord:
        """Have a job done again that failed or was discarded; raises :class:`Conflict` for any other."""
        found = await repository.fetch_job(tx, job_id, lock=True)
        tx.touch([job_id])
        if found.state not in _ENDED:
            raise Conflict(f"Job {job_id} is {found.state.value}.", hint="Only a failed or discarded job is retried.")
        twin = await repository.find_queued_twin(tx, job_id)
        if twin is not None:
            raise Conflict(f"Job {twin} waits already to do what job {job_id} would.")
        queued = await repository.queue_again(tx, job_id)
        await settle(tx, found.kind)
        return queued

    @operation(Permission.JOB_WRITE, audit="job.discarded")
    async def discard(self, tx: Transaction, job_id: UUID) -> JobRecord:
        """Give up a job that waits, runs or failed; raises :class:`Conflict` for one that succeeded.

        A running one is cut off within some seconds; what its steps have stored stays.
        """
        found = await repository.fetch_job(tx, job_id, lock=True)
        tx.touch([job_id])
        if found.state is JobState.SUCCEEDED:
            raise Conflict(f"Job {job_id} has succeeded.", hint="There is nothing to discard.")
        return found if found.state is JobState.DISCARDED else await repository.discard(tx, job_id)

    @operation(Permission.MEMORY_MAINTAIN)
    async def sweep(self, tx: Transaction) -> int:
        """Remove jobs that ended long enough ago, up to ``SWEPT_AT_ONCE`` of them, and say how many."""
        return await repository.remove_ended(tx, self.kept, SWEPT_AT_ONCE)
