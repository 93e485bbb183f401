"""Workers that are killed, stopped and left without a database: every job's effect happens, and happens once."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from asyncio import to_thread
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from agentmem.bootstrap import App, open_app
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.jobs.model import Job, JobKind, JobState
from agentmem.kit.ids import JobId
from agentmem.settings import Settings
from tests.support.children import Child, next_line, python_child
from tests.support.embedded_server import is_down, wait_until
from tests.support.jobs import ask, row_of, until, worker_of, working
from tests.support.patience import eventually
from tests.support.stores import Owner, Store

KINDS = tuple(JobKind(name=f"test.effect.{number}") for number in range(3))
"""Several, for the jobs of one kind and organization are done by one worker at a time."""
EFFECT = KINDS[0]
JOBS_A_KILL = 24
KILLS = 2
WHOLE_KILLS = 100

WORKER = """
import asyncio, random, sys
from contextlib import suppress
from dataclasses import dataclass, replace
from agentmem.bootstrap import open_app
from agentmem.errors import LeaseLost
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.jobs.model import JobKind, Work
from agentmem.foundation.jobs.queue import complete
from agentmem.operations import operation
from agentmem.settings import Settings

@dataclass(frozen=True, kw_only=True)
class Effects:
    database: Database

    @operation(Permission.MEMORY_WRITE, audit="test.effect")
    async def happen(self, tx, job):
        tx.touch([job.id])
        await complete(tx, job)

async def main():
    settings = Settings.load(data_directory=sys.argv[1], organization="chaos", linger=0.5)
    async with open_app(settings, background=False) as app:
        effects = Effects(database=app.database)

        async def run(caller, job):
            if sys.argv[3] == "aloud":
                print("began", job.id, flush=True)
            with suppress(asyncio.CancelledError):  # it does not heed that its job is another's, and goes on
                await asyncio.sleep(random.uniform(0, float(sys.argv[2])))
            try:
                await effects.happen(caller, job)
            except (LeaseLost, asyncio.CancelledError):
                print("refused", job.id, flush=True)
                raise

        kinds = [JobKind(name=f"test.effect.{number}", tries=1000, at_once=4) for number in range(3)]
        drains = replace(app.worker.drains, works={kind.name: Work(kind=kind, run=run) for kind in kinds})
        print("ready", flush=True)
        await replace(app.worker, drains=drains, schedules=()).run()

asyncio.run(main())
"""


@asynccontextmanager
async def installation(directory: Path) -> AsyncIterator[tuple[App, Owner]]:
    """Open a store that workers share, and a connection that sees all of it."""
    settings = Settings.load(data_directory=directory, organization="chaos", linger=0.5)
    async with open_app(settings, background=False) as app:
        with psycopg.connect(app.server.conninfo, autocommit=True) as owner:
            yield app, owner
    await to_thread(wait_until, lambda: is_down(directory))


def tell(capsys: pytest.CaptureFixture[str], measured: str) -> None:
    """Show what was measured, whatever becomes of the test."""
    with capsys.disabled():
        sys.stdout.write(f"\n{measured}\n")


def effects(owner: Owner) -> dict[UUID, int]:
    """Count the effects of each job: each has written one audit entry in the transaction of its effect."""
    rows = owner.execute(
        "SELECT targets[1], count(*) FROM agentmem.audit_entries WHERE action = 'test.effect' AND outcome = 'done' "
        "GROUP BY 1"
    ).fetchall()
    return {UUID(str(job_id)): int(str(count)) for job_id, count in rows}


def seconds_until_taken(owner: Owner, job_id: JobId, since: object) -> float:
    """Say how long after a moment a job was taken again."""
    statement = "SELECT extract(epoch FROM started_at - %s) FROM agentmem.jobs WHERE job_id = %s"
    (seconds,) = owner.execute(statement, [since, job_id]).fetchone() or (0,)
    return float(str(seconds))


async def test_every_job_has_its_effect_once_however_often_workers_are_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, full: bool
) -> None:
    kills = WHOLE_KILLS if full else KILLS
    chance = random.Random(4)
    async with installation(tmp_path / "store") as (app, owner):
        with ExitStack() as stack:

            async def start() -> Child:
                worker = stack.enter_context(python_child(WORKER, tmp_path / "store", "0.3", "quiet"))
                assert await to_thread(next_line, worker) == "ready"
                return worker

            workers = list(await asyncio.gather(*(start() for _ in range(3))))
            asked: list[JobId] = []
            for number in range(kills):
                asked += await ask(app, KINDS[number % len(KINDS)], *({} for _ in range(JOBS_A_KILL)))
                await asyncio.sleep(chance.uniform(0.3, 1.5))
                victim = chance.randrange(len(workers))
                workers[victim].kill()
                workers[victim] = await start()

            async def all_done() -> bool:
                row = owner.execute("SELECT count(*) FROM agentmem.jobs WHERE state <> 'succeeded'").fetchone()
                return row == (0,)

            await eventually(all_done, seconds=120)

        assert effects(owner) == dict.fromkeys(asked, 1)
        (attempts,) = owner.execute("SELECT sum(attempts) FROM agentmem.jobs").fetchone() or (0,)
    tell(capsys, f"{len(asked)} jobs, {kills} kills, {attempts} takings")


async def test_worker_that_wakes_up_after_another_has_its_job_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with installation(tmp_path / "store") as (app, owner):
        (job_id,) = await ask(app, EFFECT)
        with python_child(WORKER, tmp_path / "store", "0.5", "aloud") as first:
            assert await to_thread(next_line, first) == "ready"
            assert await to_thread(next_line, first) == f"began {job_id}"
            first.send_signal(signal.SIGSTOP)
            (stopped,) = owner.execute("SELECT clock_timestamp()").fetchone() or (None,)
            with python_child(WORKER, tmp_path / "store", "0", "quiet"):
                row = await until(owner, job_id, JobState.SUCCEEDED, seconds=90)
                seconds = seconds_until_taken(owner, job_id, stopped)
                first.send_signal(signal.SIGCONT)
                assert await to_thread(next_line, first) == f"refused {job_id}"

        assert (row["attempts"], effects(owner)) == (2, {job_id: 1})
        assert row_of(owner, job_id)["state"] == "succeeded"
    tell(capsys, f"the job of a stopped worker was taken by another one after {seconds:.1f} s")


async def test_workers_go_on_by_themselves_when_the_database_has_been_away(tmp_path: Path) -> None:
    done: list[JobId] = []

    async def run(_caller: Caller, job: Job) -> None:
        done.append(job.id)

    async with installation(tmp_path / "store") as (app, owner):
        (process,) = owner.execute("SELECT pg_backend_pid()").fetchone() or (0,)
        async with working(worker_of(app, EFFECT, run)):
            (first,) = await ask(app, EFFECT)
            await until(owner, first, JobState.SUCCEEDED)
            owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> %s AND datname IS NOT NULL",
                [process],
            )
            (second,) = await ask(app, EFFECT)
            await until(owner, second, JobState.SUCCEEDED)

    assert done == [first, second]


async def test_one_job_of_a_tenant_is_done_while_thousands_of_another_wait(store: Store, owner: Owner) -> None:
    crowd, lone = await store.organization(), await store.organization()

    async def run(_caller: Caller, _job: Job) -> None:
        await asyncio.sleep(0)

    await ask(crowd.app, EFFECT)
    owner.execute(
        "INSERT INTO agentmem.jobs (organization_id, job_id, kind, arguments, priority, state, due_at, attempts, "
        "tries, done, asked_by, created_at) SELECT %s, gen_random_uuid(), %s, '{}', 0, 'queued', now(), 0, 0, 0, "
        "'service', now() FROM generate_series(1, 2000)",
        [crowd.app.caller.organization_id, EFFECT.name],
    )
    (job_id,) = await ask(lone.app, EFFECT)
    queues = [str(memory.app.caller.organization_id) for memory in (crowd, lone)]
    worker = replace(worker_of(store.app, EFFECT, run), queues=queues, at_once=1)
    async with working(worker):
        await until(owner, job_id, JobState.SUCCEEDED)
        row = owner.execute(
            "SELECT count(*) FROM agentmem.jobs WHERE organization_id = %s AND state = 'queued'",
            [crowd.app.caller.organization_id],
        ).fetchone()

    assert row is not None
    assert int(str(row[0])) > 1000
