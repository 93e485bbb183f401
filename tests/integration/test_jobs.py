"""Background jobs in one process: asked for in a transaction, done by workers, tried again, given up."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest

from agentmem import AsyncMemory
from agentmem.entrypoints.measured import watching
from agentmem.errors import Conflict, EmbedderUnavailable, PermissionDenied
from agentmem.features.memories.jobs import EMBED
from agentmem.foundation.authorization.caller import Caller, Permission
from agentmem.foundation.jobs.model import Job, JobKind, JobState
from agentmem.foundation.jobs.queue import enqueue
from agentmem.foundation.jobs.upkeep import Schedule
from agentmem.foundation.telemetry.metrics import Metrics
from agentmem.schemas.access import Role
from agentmem.schemas.audit import AuditQuery
from agentmem.schemas.jobs import JobQuery
from tests.support.children import run_python
from tests.support.embedders import FlakyEmbedder, HashEmbedder
from tests.support.jobs import ask, at_once, row_of, until, worker_of, working
from tests.support.patience import eventually
from tests.support.stores import Owner, Store
from tests.support.tenants import acting_as

NOTE = JobKind(name="test.note", tries=3, wait=at_once)
OTHER = "test.that-nobody-does"


class Noted:
    """Notes what it is asked to do; the first ``failures`` times it raises."""

    def __init__(self, *failures: Exception) -> None:
        self.seen: list[Job] = []
        self.callers: list[Caller] = []
        self._failures = list(failures)

    async def __call__(self, caller: Caller, job: Job) -> None:
        self.seen.append(job)
        self.callers.append(caller)
        if self._failures:
            raise self._failures.pop(0)


async def test_job_is_done_once_its_transaction_has_committed(memory: AsyncMemory, owner: Owner) -> None:
    note = Noted()
    (job_id,) = await ask(memory.app, NOTE, {"n": 7})
    async with working(worker_of(memory.app, NOTE, note)):
        row = await until(owner, job_id, JobState.SUCCEEDED)

    assert [(job.id, job.arguments) for job in note.seen] == [(job_id, {"n": 7})]
    assert (row["attempts"], row["asked_by"], row["reason"]) == (1, "service", None)
    assert row["finished_at"] is not None


async def test_job_of_a_transaction_that_is_rolled_back_is_never_done(memory: AsyncMemory, owner: Owner) -> None:
    note = Noted()

    async def fail() -> None:
        async with memory.app.database.transaction(memory.app.caller) as tx:
            await enqueue(tx, NOTE, {"n": 1})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    (job_id,) = await ask(memory.app, NOTE, {"n": 2})
    async with working(worker_of(memory.app, NOTE, note)):
        await until(owner, job_id, JobState.SUCCEEDED)

    assert [job.arguments for job in note.seen] == [{"n": 2}]


async def test_job_that_fails_is_tried_again_and_then_given_up_with_its_reason(
    memory: AsyncMemory, owner: Owner
) -> None:
    note = Noted(*[EmbedderUnavailable("The model sleeps.")] * 3)
    (job_id,) = await ask(memory.app, NOTE)
    async with working(worker_of(memory.app, NOTE, note)):
        row = await until(owner, job_id, JobState.FAILED)

    assert [job.attempt for job in note.seen] == [1, 2, 3]
    assert (row["reason_code"], row["reason"]) == ("embedder_unavailable", "The model sleeps.")


async def test_job_that_can_never_succeed_is_given_up_at_once(memory: AsyncMemory, owner: Owner) -> None:
    note = Noted(Conflict("No."))
    (job_id,) = await ask(memory.app, NOTE)
    async with working(worker_of(memory.app, NOTE, note)):
        row = await until(owner, job_id, JobState.FAILED)

    assert (row["attempts"], row["reason_code"]) == (1, "conflict")


async def test_job_that_breaks_down_names_the_fault_and_no_content(memory: AsyncMemory, owner: Owner) -> None:
    note = Noted(*[ValueError("a secret of somebody")] * 3)
    (job_id,) = await ask(memory.app, NOTE)
    async with working(worker_of(memory.app, NOTE, note)):
        row = await until(owner, job_id, JobState.FAILED)

    assert (row["reason_code"], row["reason"]) == ("internal", "ValueError")


async def test_jobs_with_a_lower_priority_number_are_done_first(memory: AsyncMemory, owner: Owner) -> None:
    note = Noted()
    async with memory.app.database.transaction(memory.app.caller) as tx:
        last = await enqueue(tx, NOTE, {"n": 2}, priority=5)
        await enqueue(tx, NOTE, {"n": 1})
        await enqueue(tx, NOTE, {"n": 0}, priority=-5)
    async with working(worker_of(memory.app, NOTE, note)):
        await until(owner, last, JobState.SUCCEEDED)

    assert [job.arguments["n"] for job in note.seen] == [0, 1, 2]


async def test_one_job_waits_where_one_is_enough_and_is_brought_forward(memory: AsyncMemory, owner: Owner) -> None:
    async with memory.app.database.transaction(memory.app.caller) as tx:
        first = await enqueue(tx, NOTE, once="all", delay=3600)
        second = await enqueue(tx, NOTE, once="all")
        third = await enqueue(tx, NOTE, once="all", delay=3600)
        other = await enqueue(tx, NOTE, once="other", delay=3600)
    note = Noted()
    async with working(worker_of(memory.app, NOTE, note)):
        await until(owner, first, JobState.SUCCEEDED)

    assert first == second == third != other
    assert row_of(owner, other)["state"] == "queued"


async def test_job_that_is_wanted_again_while_it_runs_runs_again(memory: AsyncMemory, owner: Owner) -> None:
    began, goes_on = asyncio.Event(), asyncio.Event()

    async def run(_caller: Caller, _job: Job) -> None:
        began.set()
        await goes_on.wait()

    async with working(worker_of(memory.app, NOTE, run)):
        async with memory.app.database.transaction(memory.app.caller) as tx:
            first = await enqueue(tx, NOTE, once="all")
        await began.wait()
        async with memory.app.database.transaction(memory.app.caller) as tx:
            second = await enqueue(tx, NOTE, once="all")
        goes_on.set()
        await until(owner, second, JobState.SUCCEEDED)

    assert first != second


async def test_job_is_seen_that_is_asked_for_while_a_worker_looks(memory: AsyncMemory, owner: Owner) -> None:
    """The row of the queue is locked by who asks, so that no worker takes it and finds nothing yet."""
    note = Noted()
    async with working(worker_of(memory.app, NOTE, note)):
        asked = []
        for n in range(20):
            async with memory.app.database.transaction(memory.app.caller) as tx:
                asked.append(await enqueue(tx, NOTE, {"n": n}))
                await asyncio.sleep(0.05)
        await until(owner, asked[-1], JobState.SUCCEEDED)

    assert sorted(job.arguments["n"] for job in note.seen) == list(range(20))


async def test_job_of_a_member_runs_as_that_member_stands_then(store: Store, memory: AsyncMemory, owner: Owner) -> None:
    kind = replace(NOTE, permissions=frozenset({Permission.MEMORY_WRITE}))
    member = await memory.app.members.ensure_owner(memory.app.caller, "writer", Role.MEMBER)
    caller = acting_as(memory.app.caller, Role.MEMBER, member)
    note = Noted()
    (job_id,) = await ask(memory.app, kind, caller=caller)
    async with working(worker_of(memory.app, kind, note)):
        await until(owner, job_id, JobState.SUCCEEDED)
        await memory.app.members.disable(memory.app.caller, member)
        (late,) = await ask(memory.app, kind, caller=caller)
        row = await until(owner, late, JobState.FAILED)

    (acting,) = note.callers
    assert (acting.principal_id, acting.permissions) == (caller.principal_id, caller.permissions)
    assert row["reason_code"] == "permission_denied"


async def test_job_is_not_asked_for_by_who_may_not_do_it(memory: AsyncMemory) -> None:
    kind = replace(NOTE, permissions=frozenset({Permission.MEMORY_MAINTAIN}))
    with pytest.raises(PermissionDenied, match="memory:maintain"):
        await ask(memory.app, kind, caller=acting_as(memory.app.caller, Role.MEMBER))


async def test_kind_that_a_worker_does_not_know_waits_for_one_that_does(memory: AsyncMemory, owner: Owner) -> None:
    note = Noted()
    (job_id,) = await ask(memory.app, NOTE)
    organization_id = memory.app.caller.organization_id
    await memory.app.worker.drains.drain(organization_id, NOTE.name, lambda: False)
    put_off = owner.execute(
        "UPDATE agentmem_platform.procrastinate_jobs SET scheduled_at = now() WHERE queue_name = %s RETURNING id",
        [str(organization_id)],
    ).fetchall()
    assert len(put_off) == 1
    assert row_of(owner, job_id)["attempts"] == 0
    async with working(worker_of(memory.app, NOTE, note)):
        await until(owner, job_id, JobState.SUCCEEDED)


async def test_memories_stored_while_the_model_failed_are_embedded_by_one_job(store: Store, owner: Owner) -> None:
    embedder = FlakyEmbedder(HashEmbedder())
    memory = await store.with_embedder(embedder)
    embedder.down = True
    added = [await memory.add(f"the heron number {n} stands still", user_id="u") for n in range(3)]
    jobs = owner.execute(
        "SELECT kind, state FROM agentmem.jobs WHERE organization_id = %s", [memory.app.caller.organization_id]
    ).fetchall()
    embedder.down = False

    async def embedded() -> bool:
        return (await memory.info()).pending_vectors == 0

    assert all(step.pending for step in added)
    assert jobs == [(EMBED.name, "queued")]
    works = {work.kind.name: work for work in memory.app.upkeep.works()}
    drains = replace(memory.app.worker.drains, works=works)
    async with working(replace(memory.app.worker, drains=drains, queues=[str(memory.app.caller.organization_id)])):
        await eventually(embedded)


async def test_what_becomes_of_jobs_is_counted_and_how_long_they_wait(memory: AsyncMemory, owner: Owner) -> None:
    metrics = Metrics()
    watchers = watching(metrics)
    worker = worker_of(memory.app, NOTE, Noted(EmbedderUnavailable("It sleeps.")), due=watchers.jobs_due)
    drains = replace(worker.drains, ended=watchers.job_ended)
    (job_id,) = await ask(memory.app, NOTE)
    (other,) = await ask(memory.app, replace(NOTE, name=OTHER))
    owner.execute(
        "UPDATE agentmem_platform.procrastinate_jobs SET queue_name = 'nobody' WHERE args->>'kind' = %s", [OTHER]
    )

    async def noted() -> bool:
        return f'agentmem_jobs_due_organizations{{kind="{OTHER}"}} 1.0' in metrics.text().decode()

    async with working(replace(worker, drains=drains)):
        await until(owner, job_id, JobState.SUCCEEDED)
        await eventually(noted)
    owner.execute("DELETE FROM agentmem_platform.procrastinate_jobs WHERE queue_name = 'nobody'")

    text = metrics.text().decode()
    assert 'agentmem_jobs_total{kind="test.note",state="queued"} 1.0' in text
    assert 'agentmem_jobs_total{kind="test.note",state="succeeded"} 1.0' in text
    assert f'agentmem_jobs_due_seconds{{kind="{OTHER}"}}' in text
    assert row_of(owner, other)["state"] == "queued"


def test_opening_a_store_does_not_load_the_queues_library() -> None:
    loaded = run_python("import sys, agentmem.entrypoints.embedded.memory; print('procrastinate' in sys.modules)")

    assert loaded == "False\n"


async def test_schedule_fires_once_for_all_workers_until_its_next_time(memory: AsyncMemory, owner: Owner) -> None:
    rounds: list[int] = []

    async def run() -> None:
        rounds.append(1)

    queue = str(memory.app.caller.organization_id)
    daily = Schedule(name=f"daily {queue}", seconds=86_400, run=run, queue=queue)
    worker = worker_of(memory.app, NOTE, Noted(), schedules=(daily,))
    async with working(worker, worker, worker):
        for _ in range(2):
            await asyncio.sleep(1.2)  # by then each worker has looked again
            (job_id,) = await ask(memory.app, NOTE)
            await until(owner, job_id, JobState.SUCCEEDED)

    assert rounds == [1]


async def test_discarded_job_is_cut_off_and_a_retried_one_runs_again(memory: AsyncMemory, owner: Owner) -> None:
    ends = asyncio.Event()
    cut: list[str] = []

    async def run(_caller: Caller, job: Job) -> None:
        job.progress.total = 3
        if job.attempt > 1:
            return
        job.progress.done = 2
        try:
            await ends.wait()
        except asyncio.CancelledError:
            cut.append(str(job.id))
            raise

    async def is_cut() -> bool:
        return cut != []

    app = memory.app
    async with working(worker_of(app, NOTE, run)):
        (job_id,) = await ask(app, NOTE)
        await until(owner, job_id, JobState.RUNNING)
        with pytest.raises(Conflict, match="running"):
            await app.jobs.retry(app.caller, job_id)
        assert (await app.jobs.discard(app.caller, job_id)).state is JobState.DISCARDED
        await eventually(is_cut)
        assert (await app.jobs.retry(app.caller, job_id)).state is JobState.QUEUED
        await until(owner, job_id, JobState.SUCCEEDED)
        with pytest.raises(Conflict, match="succeeded"):
            await app.jobs.discard(app.caller, job_id)

    found = await app.jobs.get(app.caller, job_id)
    assert (found.attempts, found.done, found.total) == (2, 0, 3)
    actions = {entry.action for entry in (await app.audit.page(app.caller, AuditQuery())).items}
    assert {"job.discarded", "job.retried"} <= actions


async def test_progress_of_a_running_job_is_seen(memory: AsyncMemory, owner: Owner) -> None:
    ends = asyncio.Event()

    async def run(_caller: Caller, job: Job) -> None:
        job.progress.done, job.progress.total = 7, 10
        await ends.wait()

    async def is_seen() -> bool:
        found = await memory.app.jobs.get(memory.app.caller, job_id)
        return (found.done, found.total) == (7, 10)

    async with working(worker_of(memory.app, NOTE, run)):
        (job_id,) = await ask(memory.app, NOTE)
        await eventually(is_seen)
        ends.set()
        await until(owner, job_id, JobState.SUCCEEDED)


async def test_pages_of_jobs_hold_what_is_asked_for_the_newest_first(memory: AsyncMemory) -> None:
    app = memory.app
    asked = await ask(app, NOTE, {"n": 0}, {"n": 1}, {"n": 2}, {"n": 3}, {"n": 4})
    await ask(app, replace(NOTE, name="test.other"))
    await app.jobs.discard(app.caller, asked[2])
    seen: list[UUID] = []
    cursor = None
    while True:
        query = JobQuery(kind=NOTE.name, state=JobState.QUEUED, limit=2, cursor=cursor)
        page = await app.jobs.page(app.caller, query)
        seen += [job.id for job in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break

    assert seen == [asked[n] for n in (4, 3, 1, 0)]


async def test_ended_jobs_are_swept_after_their_days(memory: AsyncMemory, owner: Owner) -> None:
    app = memory.app
    old, young, waiting = await ask(app, NOTE, {"n": 1}, {"n": 2}, {"n": 3})
    for job_id in (old, young):
        await app.jobs.discard(app.caller, job_id)
    owner.execute("UPDATE agentmem.jobs SET finished_at = now() - interval '15 days' WHERE job_id = %s", [old])
    swept = await app.jobs.sweep(app.caller)

    assert swept == 1
    assert [job.id for job in (await app.jobs.page(app.caller, JobQuery())).items] == [waiting, young]


async def test_model_is_changed_by_a_job_that_says_how_far_it_is(store: Store, owner: Owner) -> None:
    before, after = HashEmbedder("hash@1"), HashEmbedder("hash@2")

    async def opener(_name: str) -> HashEmbedder:
        return after

    memory = await store.with_embedder(before, opener)
    await memory.add([f"the ferry number {n} is late" for n in range(30)], user_id="u")
    app = memory.app
    job_id = await app.upkeep.memories.order_model(app.caller, "hash@2")
    again = await app.upkeep.memories.order_model(app.caller, "hash@2")
    works = {work.kind.name: work for work in app.upkeep.works()}
    drains = replace(app.worker.drains, works=works)
    async with working(replace(app.worker, drains=drains, queues=[str(app.caller.organization_id)])):
        await until(owner, job_id, JobState.SUCCEEDED)

    found = await app.jobs.get(app.caller, job_id)
    assert again == job_id
    assert (found.done, found.total, found.asked_by) == (30, 30, "local")
    assert await app.upkeep.memories.recorded_model(app.caller) == "hash@2"
