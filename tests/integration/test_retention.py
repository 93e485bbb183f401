"""What an organization's rules keep no longer is removed for good; whoever is held or restricted is spared."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from agentmem import AsyncMemory
from agentmem.errors import PermissionDenied
from agentmem.foundation.jobs.model import Job
from agentmem.kit.ids import JobId, uuid7
from agentmem.pipelines.privacy.retention import Retention
from agentmem.schemas.jobs import JobQuery
from agentmem.schemas.memories import Kind, NewMemory, Scope
from agentmem.schemas.privacy import SubjectMarks
from agentmem.schemas.retention import RetentionPolicy, RetentionRule
from tests.integration.test_key_rotation import reseal as finish
from tests.support.stores import Owner

RULES = (
    RetentionRule(days=30, kind=Kind.WORKING),
    RetentionRule(days=90, scope=Scope(app_id="chat")),
)


async def later(memory: AsyncMemory, days: int, *rules: RetentionRule) -> Retention:
    """Set rules, and give the retention of so many days from now."""
    app = memory.app
    await app.accounts.policies.update(app.caller, RetentionPolicy(rules=rules))
    retention = app.custody.retention
    ahead = replace(app.database, ahead=timedelta(days=days))
    return replace(retention, memories=replace(retention.memories, database=ahead))


async def run(retention: Retention, memory: AsyncMemory) -> int:
    """Do the job, as a worker would, and say how much it removed."""
    (work,) = retention.works()
    job = Job(
        id=JobId(uuid7()),
        kind=work.kind.name,
        arguments={},
        attempt=1,
        tries=1,
        asked_by=memory.app.caller.principal_id,
    )
    await work.run(memory.app.caller, job)
    return job.progress.done


async def contents(memory: AsyncMemory) -> set[str]:
    return {item.content for item in (await memory.list()).items}


async def test_rules_by_kind_and_scope_remove_what_was_kept_for_so_long(memory: AsyncMemory, owner: Owner) -> None:
    added = await memory.add(
        [
            NewMemory(content="a scratch", kind=Kind.WORKING, pinned=True, user_id="alice"),
            NewMemory(content="a turn", app_id="chat"),
            NewMemory(content="a fact", user_id="alice"),
        ]
    )
    await memory.update(added.memories[0].id, content="a scratch, changed")
    thirty = await later(memory, 31, *RULES)
    assert [(one.memories, one.kept) for one in (await thirty.report(memory.app.caller, dry_run=True)).rules] == [
        (1, 0),
        (0, 0),
    ]
    assert await contents(memory) == {"a scratch, changed", "a turn", "a fact"}
    assert await run(await later(memory, 29, *RULES), memory) == 0
    assert await run(thirty, memory) == 1
    assert await contents(memory) == {"a turn", "a fact"}
    assert await run(await later(memory, 91, *RULES), memory) == 1
    assert await contents(memory) == {"a fact"}
    assert (await memory.doctor()).findings == []
    left = owner.execute(
        "SELECT count(*) FROM agentmem.memories WHERE organization_id = %s", [memory.app.caller.organization_id]
    )
    assert left.fetchone() == (1,)
    entries = [entry for entry in await memory.app.audit.read(memory.app.caller, None, 1000) if entry.targets]
    retired = [target for entry in entries if entry.action == "memory.retired" for target in entry.targets]
    assert retired == [added.memories[0].id, added.memories[1].id]


async def test_whoever_is_held_or_restricted_is_spared_until_that_ends(memory: AsyncMemory) -> None:
    for user in ("alice", "bob", "eve"):
        await memory.add(f"{user} said so", user_id=user)
    privacy, caller = memory.app.custody.privacy, memory.app.caller
    await privacy.mark(caller, SubjectMarks(user_id="alice", held=True))
    await privacy.mark(caller, SubjectMarks(user_id="bob", restricted=True))
    retention = await later(memory, 2, RetentionRule(days=1))
    (outcome,) = (await retention.report(caller, dry_run=True)).rules
    assert (outcome.memories, outcome.kept) == (1, 2)
    assert await run(retention, memory) == 1
    await privacy.mark(caller, SubjectMarks(user_id="bob"))
    assert await contents(memory) == {"alice said so", "bob said so"}
    await privacy.mark(caller, SubjectMarks(user_id="alice"))
    assert await run(retention, memory) == 2


async def test_what_a_held_user_deleted_is_not_purged(memory: AsyncMemory) -> None:
    added = (await memory.add("said so", user_id="alice")).memories[0]
    await memory.delete(added.id)
    privacy, caller = memory.app.custody.privacy, memory.app.caller
    await privacy.mark(caller, SubjectMarks(user_id="alice", held=True))
    assert (await memory.vacuum(purge_after_days=0)).purged_memories == 0
    await privacy.mark(caller, SubjectMarks(user_id="alice"))
    assert (await memory.vacuum(purge_after_days=0)).purged_memories == 1


async def test_a_hold_that_comes_meanwhile_wins_or_comes_too_late_and_nothing_is_half_removed(
    memory: AsyncMemory,
) -> None:
    for round_ in range(4):
        await memory.add([f"fact {number} of {round_}" for number in range(20)], user_id=f"user {round_}")
        retention = await later(memory, 2, RetentionRule(days=1))
        marks = SubjectMarks(user_id=f"user {round_}", held=True)
        await asyncio.gather(run(retention, memory), memory.app.custody.privacy.mark(memory.app.caller, marks))
        assert len((await memory.list(user_id=f"user {round_}", limit=100)).items) in {0, 20}
    assert (await memory.doctor()).findings == []


async def test_a_round_has_a_job_done_where_something_is_due(memory: AsyncMemory, owner: Owner) -> None:
    await memory.add("said so")
    assert [schedule.seconds for schedule in memory.app.custody.retention.schedules()] == [86_400]
    nothing = await later(memory, 0, RetentionRule(days=1))
    before = (await memory.app.jobs.page(memory.app.caller, JobQuery())).items
    await nothing.order_due()
    assert (await memory.app.jobs.page(memory.app.caller, JobQuery())).items == before
    due = await later(memory, 2, RetentionRule(days=1))
    assert await due.order_due() >= 1
    (job,) = (await memory.app.jobs.page(memory.app.caller, JobQuery())).items
    assert job.kind == "memory.retain"
    await finish(memory, owner, JobId(job.id))


async def test_who_may_not_maintain_is_refused(memory: AsyncMemory) -> None:
    await later(memory, 0, *RULES)
    caller = replace(memory.app.caller, permissions=frozenset())
    with pytest.raises(PermissionDenied):
        await memory.app.custody.retention.report(caller, dry_run=True)
