"""Kinds of jobs for tests, and workers that know them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from agentmem.bootstrap import App
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.jobs.model import Handler, JobKind, JobState, Work
from agentmem.foundation.jobs.queue import enqueue
from agentmem.foundation.jobs.worker import Worker
from agentmem.kit.ids import JobId
from tests.support.patience import PATIENCE, eventually
from tests.support.stores import Owner


def at_once(_tries: int) -> float:
    """Wait no time between two tries."""
    return 0.0


async def ask(app: App, kind: JobKind, *arguments: dict[str, str | int], caller: Caller | None = None) -> list[JobId]:
    """Ask for a job with each of these arguments, or for one without any."""
    async with app.database.transaction(caller or app.caller) as tx:
        return [await enqueue(tx, kind, given) for given in arguments or ({},)]


def worker_of(app: App, kind: JobKind, run: Handler, **changes: Any) -> Worker:
    """Give a worker of the application's organization that knows one more kind."""
    works = {**app.worker.drains.works, kind.name: Work(kind=kind, run=run)}
    drains = replace(app.worker.drains, works=works)
    queues = [str(app.caller.organization_id)]
    return replace(app.worker, **{"drains": drains, "queues": queues, "grace": 0.0, **changes})


@asynccontextmanager
async def working(*workers: Worker) -> AsyncIterator[None]:
    """Have workers run for the body of a ``with``."""
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        yield
        assert not any(task.done() for task in tasks), "a worker ends only when it is cancelled"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def row_of(owner: Owner, job_id: JobId) -> dict[str, Any]:
    """Read the row of a job."""
    row = owner.execute("SELECT to_jsonb(j) FROM agentmem.jobs j WHERE job_id = %s", [job_id]).fetchone()
    found: dict[str, Any] = {} if row is None else row[0]  # type: ignore[assignment]  # what PostgreSQL gives for JSON
    return found


async def until(owner: Owner, job_id: JobId, state: JobState, *, seconds: float = PATIENCE) -> dict[str, Any]:
    """Wait until a job is in a state, and give its row."""

    async def reached() -> bool:
        return bool(row_of(owner, job_id)["state"] == state.value)

    await eventually(reached, seconds=seconds)
    return row_of(owner, job_id)
