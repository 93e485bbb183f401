"""Putting jobs into the queue, taking them out, and ending them: all the SQL of a job's life.

Every moment is the database's: a process whose clock is wrong takes nothing too early and keeps nothing too long.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, literal_column, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql import ColumnElement

from agentmem.errors import LeaseLost
from agentmem.foundation.authorization.caller import SERVICE
from agentmem.foundation.database.transaction import OWN_ORGANIZATION, Statements, Transaction
from agentmem.foundation.jobs.model import WAITING, Argument, Job, JobKind, JobState, Reason
from agentmem.foundation.jobs.tables import DRAIN, jobs, queue
from agentmem.kit.ids import JobId, PrincipalId, uuid7

LEASE: Final = timedelta(seconds=15)
"""How long a job is its worker's after each sign of life."""


async def enqueue(
    tx: Transaction,
    kind: JobKind,
    arguments: Mapping[str, Argument] | None = None,
    *,
    delay: float = 0.0,
    priority: int = 0,
    once: str | None = None,
) -> JobId:
    """Ask for a job in the caller's own transaction: it is done if, and only if, that commits.

    It begins after ``delay`` seconds, and before jobs of its kind and organization with a higher ``priority``. Of jobs
    with one ``once`` a single one waits at a time: another call gives that one, brought forward if need be. Raises
    :class:`PermissionDenied` for a caller without the permissions of the kind.

    A transaction that asks for jobs of several kinds does so in the order of their names: it holds the place of each in
    the queue until it ends.
    """
    for permission in kind.permissions:
        tx.caller.require(permission)
    asked_by = tx.caller.principal_id if kind.permissions else SERVICE
    return await enqueue_for(tx, kind, arguments, asked_by=asked_by, delay=delay, priority=priority, once=once)


async def enqueue_for(
    tx: Statements,
    kind: JobKind,
    arguments: Mapping[str, Argument] | None = None,
    *,
    asked_by: PrincipalId = SERVICE,
    delay: float = 0.0,
    priority: int = 0,
    once: str | None = None,
) -> JobId:
    """Do the same for a principal, also in a system transaction that is bound to an organization."""
    row = {
        "organization_id": tx.bound[OWN_ORGANIZATION],
        "job_id": uuid7(),
        "kind": kind.name,
        "arguments": dict(arguments or {}),
        "once": once,
        "priority": priority,
        "state": JobState.QUEUED.value,
        "due_at": _in(delay),
        "attempts": 0,
        "tries": 0,
        "done": 0,
        "asked_by": asked_by,
        "created_at": func.now(),
    }
    new = insert(jobs).values(row)
    # The row that is there is locked until this commits, so that no worker takes it before it can see what this wrote.
    joined = new.on_conflict_do_update(
        index_elements=[jobs.c.organization_id, jobs.c.kind, jobs.c.once],
        index_where=jobs.c.state == text("'queued'"),
        set_={"due_at": func.least(jobs.c.due_at, new.excluded.due_at)},
    )
    # What all jobs of a kind share is locked first: a transaction that asks for two of them, and held one while it
    # waited for that row, would be waited for.
    await summon(tx, kind.name, _in(delay))
    return JobId((await tx.execute(joined.returning(jobs.c.job_id))).scalar_one())


async def summon(tx: Statements, kind: str, moment: ColumnElement[datetime] | datetime) -> None:
    """See to it that a worker looks at the organization's jobs of a kind, at this moment or sooner.

    The library's own way to enqueue raises when there is such a row, which would end the caller's transaction; and it
    does not lock that row, so that a worker could take it, see nothing, and leave what this transaction adds behind.
    """
    organization = str(tx.bound[OWN_ORGANIZATION])
    name = f"{organization} {kind}"
    new = insert(queue).values(
        queue_name=organization,
        task_name=DRAIN,
        lock=name,
        queueing_lock=name,
        args={"organization_id": organization, "kind": kind},
        scheduled_at=moment,
    )
    await tx.execute(
        new.on_conflict_do_update(
            index_elements=[queue.c.queueing_lock],
            index_where=queue.c.status == text("'todo'"),
            set_={"scheduled_at": func.least(queue.c.scheduled_at, new.excluded.scheduled_at)},
        )
    )


async def claim(tx: Transaction, kind: str) -> Job | None:
    """Take the next job of a kind that is due, or whose worker has been silent; none if there is none."""
    chosen = (
        select(jobs.c.job_id)
        .where(tx.own(jobs), jobs.c.kind == kind, _waits(), jobs.c.due_at <= func.now())
        .order_by(jobs.c.priority, jobs.c.due_at, jobs.c.job_id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    taken = (
        update(jobs)
        .where(tx.own(jobs), jobs.c.job_id == chosen.scalar_subquery())
        .values(
            state=JobState.RUNNING.value,
            due_at=func.now() + LEASE,
            attempts=jobs.c.attempts + 1,
            tries=jobs.c.tries + 1,
            started_at=func.now(),
        )
        .returning(jobs.c.job_id, jobs.c.arguments, jobs.c.attempts, jobs.c.tries, jobs.c.asked_by)
    )
    row = (await tx.execute(taken)).first()
    if row is None:
        return None
    return Job(
        id=JobId(row.job_id),
        kind=kind,
        arguments=row.arguments,
        attempt=row.attempts,
        tries=row.tries,
        asked_by=PrincipalId(row.asked_by),
    )


async def keep(tx: Transaction, job: Job) -> bool:
    """Say that the job's worker is alive, and how far it is; say no if the job is not its any more."""
    values = {"due_at": func.now() + LEASE, "done": job.progress.done, "total": job.progress.total}
    return (await tx.execute(update(jobs).where(_mine(tx, job, JobState.RUNNING)).values(values))).rowcount == 1


async def complete(tx: Transaction, job: Job) -> None:
    """End a job well in the transaction of its effect, so that the effect happens once, whatever happens to workers.

    Raises :class:`LeaseLost` if the job is not the caller's any more: the effect is rolled back.
    """
    if not await end(tx, job, JobState.SUCCEEDED):
        raise LeaseLost(f"Job {job.id} is not this worker's any more.", hint="Another one does it.")


async def end(tx: Transaction, job: Job, state: JobState, reason: Reason | None = None) -> bool:
    """Put a job into its last state; say no if it is not the worker's any more.

    One that :func:`complete` has ended is ended well again, and in no other way.
    """
    before = {JobState.RUNNING, state} if state is JobState.SUCCEEDED else {JobState.RUNNING}
    values = {
        "state": state.value,
        "done": job.progress.done,
        "total": job.progress.total,
        "reason_code": None if reason is None else reason.code,
        "reason": None if reason is None else reason.message,
        "finished_at": func.now(),
    }
    return (await tx.execute(update(jobs).where(_mine(tx, job, *before)).values(values))).rowcount == 1


async def put_back(tx: Transaction, job: Job, seconds: float, reason: Reason) -> bool:
    """Queue a job again after some seconds; if another of its ``once`` waits already, that one does for both."""
    twin = jobs.alias()
    waits = (
        select(twin.c.job_id)
        .where(tx.own(twin), twin.c.kind == job.kind, twin.c.once == jobs.c.once, twin.c.state == JobState.QUEUED.value)
        .exists()
    )
    values = {"reason_code": reason.code, "reason": reason.message}
    again = {**values, "state": JobState.QUEUED.value, "due_at": _in(seconds)}
    if (await tx.execute(update(jobs).where(_mine(tx, job, JobState.RUNNING), ~waits).values(again))).rowcount == 1:
        return True
    return await end(tx, job, JobState.DISCARDED, reason)


async def settle(tx: Transaction, kind: str, *, rest: float = 0.0) -> None:
    """See to it that a worker looks again when the next job of a kind is due, and not before ``rest`` seconds."""
    first = select(func.min(jobs.c.due_at)).where(tx.own(jobs), jobs.c.kind == kind, _waits())
    due: datetime | None = (await tx.execute(first)).scalar_one()
    if due is not None:
        await summon(tx, kind, func.greatest(due, _in(rest)))


def _in(seconds: float) -> ColumnElement[datetime]:
    moment: ColumnElement[datetime] = func.now() + timedelta(seconds=seconds)
    return moment


def _waits() -> ColumnElement[bool]:
    # Written out: a partial index is used only where the statement shows its condition.
    return jobs.c.state.in_([literal_column(f"'{state.value}'") for state in WAITING])


def _mine(tx: Transaction, job: Job, *states: JobState) -> ColumnElement[bool]:
    same = (jobs.c.job_id == job.id) & (jobs.c.attempts == job.attempt)
    return tx.own(jobs) & same & jobs.c.state.in_([state.value for state in states])
