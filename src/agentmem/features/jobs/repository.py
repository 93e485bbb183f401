"""All SQL about jobs that is not a worker's: reading them, and what people do with those that failed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, null, select, update

from agentmem.errors import NotFound
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.jobs.tables import jobs
from agentmem.schemas.jobs import JobQuery, JobReason, JobRecord, JobState


async def fetch_job(tx: Transaction, job_id: UUID, *, lock: bool = False) -> JobRecord:
    """Read a job, and keep it as it is until the transaction ends if asked to; raises :class:`NotFound`."""
    statement = select(jobs).where(tx.own(jobs), jobs.c.job_id == job_id)
    row = (await tx.execute(statement.with_for_update() if lock else statement)).first()
    if row is None:
        raise _not_found(job_id)
    return _to_record(row)


async def fetch_page(tx: Transaction, query: JobQuery, before: UUID | None, limit: int) -> list[JobRecord]:
    """Read up to ``limit`` jobs that meet the conditions, the newest first."""
    statement = select(jobs).where(tx.own(jobs))
    if query.state is not None:
        statement = statement.where(jobs.c.state == query.state.value)
    if query.kind is not None:
        statement = statement.where(jobs.c.kind == query.kind)
    if before is not None:
        statement = statement.where(jobs.c.job_id < before)
    rows = await tx.execute(statement.order_by(jobs.c.job_id.desc()).limit(limit))
    return [_to_record(row) for row in rows]


async def find_queued_twin(tx: Transaction, job_id: UUID) -> UUID | None:
    """Give the job that waits in this one's place, where one at a time is enough."""
    twin = jobs.alias()
    statement = (
        select(twin.c.job_id)
        .join(jobs, (twin.c.kind == jobs.c.kind) & (twin.c.once == jobs.c.once))
        .where(tx.own(twin), tx.own(jobs), jobs.c.job_id == job_id, twin.c.state == JobState.QUEUED.value)
    )
    found: UUID | None = (await tx.execute(statement)).scalar_one_or_none()
    return found


async def queue_again(tx: Transaction, job_id: UUID) -> JobRecord:
    """Put an ended job back into the queue, with all its tries before it."""
    values = {
        "state": JobState.QUEUED.value,
        "due_at": func.now(),
        "tries": 0,
        "finished_at": null(),
        "reason_code": null(),
        "reason": null(),
    }
    return await _change(tx, job_id, values)


async def discard(tx: Transaction, job_id: UUID) -> JobRecord:
    """End a job where it is; a worker that has it notices with its next sign of life."""
    return await _change(tx, job_id, {"state": JobState.DISCARDED.value, "finished_at": func.now()})


async def remove_ended(tx: Transaction, kept: timedelta, limit: int) -> int:
    """Remove up to ``limit`` jobs that ended longer ago than they are kept, and say how many."""
    old = select(jobs.c.job_id).where(tx.own(jobs), jobs.c.finished_at < func.now() - kept).limit(limit)
    return (await tx.execute(delete(jobs).where(tx.own(jobs), jobs.c.job_id.in_(old)))).rowcount


async def _change(tx: Transaction, job_id: UUID, values: dict[str, object]) -> JobRecord:
    statement = update(jobs).where(tx.own(jobs), jobs.c.job_id == job_id).values(values).returning(jobs)
    row = (await tx.execute(statement)).first()
    if row is None:
        raise _not_found(job_id)
    return _to_record(row)


def _not_found(job_id: UUID) -> NotFound:
    return NotFound(f"There is no job {job_id}.")


def _to_record(row: Row[Any]) -> JobRecord:
    return JobRecord(
        id=row.job_id,
        kind=row.kind,
        state=JobState(row.state),
        arguments=row.arguments,
        priority=row.priority,
        due_at=row.due_at,
        attempts=row.attempts,
        done=row.done,
        total=row.total,
        reason=None if row.reason_code is None else JobReason(code=row.reason_code, message=row.reason),
        asked_by=row.asked_by,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
