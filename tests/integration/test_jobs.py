"""Background jobs in one process: asked for in a transaction, done by workers, tried again, given up."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from agentmem import AsyncMemory
from agentmem.errors import Conflict, EmbedderUnavailable, PermissionDenied
from agentmem.features.memories.jobs import EMBED
from agentmem.foundation.authorization.caller import Caller, Permission
from agentmem.foundation.jobs.model import Job, JobKind, JobState
from agentmem.foundation.jobs.queue import enqueue
from agentmem.schemas.access import Role
from tests.support.embedders import FlakyEmbedder, HashEmbedder
from tests.support.jobs import ask, at_once, row_of, until, worker_of, working
from tests.support.patience import eventually
from tests.support.stores import Owner, Store
from tests.support.tenants import acting_as

NOTE = JobKind(name="test.note", tries=3, wait=at_once)


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
