"""Doing an organization's jobs of one kind: a bounded number of them, so that others have their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Final, TypeVar

import structlog

from agentmem.errors import AgentMemError, LeaseLost, NotFound, Unavailable
from agentmem.foundation.authorization.caller import Caller, service_caller
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.jobs import queue
from agentmem.foundation.jobs.model import Authorize, Job, JobState, Reason, Work
from agentmem.kit.ids import OrganizationId

MOST_JOBS: Final = 100
"""Jobs that one drain does before it goes to the end of the queue."""
MOST_SECONDS: Final = 5.0
"""Seconds after which it begins no other one."""
SIGN_OF_LIFE: Final = 5.0
"""Seconds between two signs of life of a running job."""
UNKNOWN_WAIT: Final = 5.0
"""Seconds after which a kind that this version does not know is offered again, to a newer one."""

Result = TypeVar("Result")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Failure:
    """Why a try failed, and whether another one may do better."""

    reason: Reason
    retryable: bool
    retry_after: float | None = None


@dataclass(frozen=True, kw_only=True)
class Drains:
    """Does jobs of the kinds that it knows; ``ended`` is told the kind of each job that ends, and its state."""

    database: Database
    works: Mapping[str, Work]
    authorize: Authorize
    ended: Callable[[str, str], None]

    async def drain(self, organization_id: OrganizationId, kind: str, stopping: Callable[[], bool]) -> None:
        """Do up to ``MOST_JOBS`` jobs of an organization, and queue the rest last; nothing if it was erased."""
        caller = service_caller(organization_id)
        work = self.works.get(kind)
        try:
            if work is None:
                log.warning("job_kind_unknown", kind=kind)
                await self._with(caller, partial(queue.settle, kind=kind, rest=UNKNOWN_WAIT))
                return
            turn = _Turn(stopping)
            # Each ends what it has begun, also when another one fails.
            ends = await asyncio.gather(
                *(self._work_off(caller, work, turn) for _ in range(work.kind.at_once)), return_exceptions=True
            )
            for fault in filter(None, ends):
                raise fault
            await self._with(caller, partial(queue.settle, kind=kind))
        except NotFound:
            log.info("jobs_of_erased_organization", organization=str(organization_id))

    async def _work_off(self, caller: Caller, work: Work, turn: _Turn) -> None:
        while turn.goes_on():
            job = await self._with(caller, partial(queue.claim, kind=work.kind.name))
            if job is None:
                return
            failure = await self._attempt(caller, work, job)
            state = JobState.SUCCEEDED if failure is None else JobState.FAILED
            if failure is not None and failure.retryable and job.tries < work.kind.tries:
                wait = max(work.kind.wait(job.tries), failure.retry_after or 0.0)
                state, step = JobState.QUEUED, partial(queue.put_back, job=job, seconds=wait, reason=failure.reason)
            else:
                reason = None if failure is None else failure.reason
                step = partial(queue.end, job=job, state=state, reason=reason)
            if failure is not None:
                log.warning("job_failed", kind=job.kind, job=str(job.id), tries=job.tries, reason=failure.reason.code)
            if await self._with(caller, step):
                self.ended(job.kind, state.value)
            else:
                log.warning("job_lease_lost", kind=job.kind, job=str(job.id), attempt=job.attempt)

    async def _attempt(self, caller: Caller, work: Work, job: Job) -> _Failure | None:
        """Do a job as whoever asked for it stands now; give what went wrong."""
        if job.tries > work.kind.tries:
            return _Failure(
                reason=Reason(code="worker_lost", message="Its workers ended before it did."), retryable=False
            )
        try:
            acting = await self.authorize(caller.organization_id, job.asked_by)
            for permission in work.kind.permissions:
                acting.require(permission)
            await self._alive(caller, job, work.run(acting, job))
        except AgentMemError as error:
            reason = Reason(code=error.code, message=error.message)
            return _Failure(reason=reason, retryable=error.retryable, retry_after=error.retry_after)
        except Exception as fault:  # noqa: BLE001  # whatever a handler raises must not stop the other jobs
            log.error("job_broke", kind=job.kind, job=str(job.id), error=type(fault).__name__)  # noqa: TRY400  # no content in logs
            return _Failure(reason=Reason(code="internal", message=type(fault).__name__), retryable=True)
        return None

    async def _alive(self, caller: Caller, job: Job, work: Awaitable[object]) -> None:
        """Wait for a handler, and give signs of life meanwhile; end it when the job is not ours any more."""
        running = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait({running}, timeout=SIGN_OF_LIFE))[0]:
                # A sign that cannot be given is no end: who takes the job when the lease is over fences this one off.
                with suppress(Unavailable):
                    if not await self._with(caller, partial(queue.keep, job=job)):
                        raise LeaseLost(f"Job {job.id} was discarded, or another worker has it.")
            await running
        finally:
            if not running.done():
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    async def _with(self, caller: Caller, step: Callable[[Transaction], Awaitable[Result]]) -> Result:
        async with self.database.transaction(caller) as tx:
            return await step(tx)


class _Turn:
    """How much of a drain is left."""

    def __init__(self, stopping: Callable[[], bool]) -> None:
        self._stopping = stopping
        self._left = MOST_JOBS
        self._ends = monotonic() + MOST_SECONDS

    def goes_on(self) -> bool:
        """Count one more job, unless there were enough."""
        self._left -= 1
        return self._left >= 0 and monotonic() < self._ends and not self._stopping()
