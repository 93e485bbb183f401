"""The times of a memory's versions rise, whatever clocks and parallel writers do: a moment sees one version of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from agentmem import AsyncMemory
from agentmem.kit.clock import utc_now
from agentmem.schemas.health import FindingCode
from agentmem.schemas.memories import MemoryRecord, Scope
from agentmem.schemas.requests import PatchOf
from tests.support.children import next_line, python_child
from tests.support.stores import Owner, Store

SLOWER = timedelta(hours=2)
CHANGES = 60

CHANGER = """
import sys
from agentmem import Memory
with Memory(data_directory=sys.argv[1], organization=sys.argv[2], linger=0.5) as memory:
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(int(sys.argv[4])):
        memory.update(sys.argv[3], metadata={"number": number})
    print("done", flush=True)
"""


@contextmanager
def clock_of(memory: AsyncMemory, later: timedelta) -> Iterator[None]:
    """Let the clock of one process be wrong, as after a correction, or on another machine."""
    app = memory.app
    database = replace(app.database, ahead=later)
    memory._opened = replace(
        app,
        memories=replace(app.memories, database=database),
        batches=replace(app.batches, stored=replace(app.batches.stored, database=database)),
        ingestion=replace(app.ingestion, memories=replace(app.memories, database=database)),
    )
    try:
        yield
    finally:
        memory._opened = app


async def known_versions(memory: AsyncMemory, record: MemoryRecord, moment: datetime) -> list[int]:
    return [seen.version for seen in (await memory.list(known_at=moment)).items if seen.id == record.id]


async def check_times(memory: AsyncMemory, record: MemoryRecord, *, deleted: bool = False) -> None:
    history = await memory.history(record.id)
    times = [change.changed_at for change in history]
    assert times == sorted(set(times))
    for change in history:
        assert await known_versions(memory, record, change.changed_at) == (
            [] if change.memory.deleted_at else [change.version]
        )
    assert (await memory.doctor()).findings == []
    assert deleted == (history[-1].memory.deleted_at is not None)


async def test_versions_written_after_the_clock_has_stepped_back_follow_those_before(memory: AsyncMemory) -> None:
    (record,) = (await memory.add("the clock strikes twelve", user_id="ada")).memories
    with clock_of(memory, -SLOWER):
        await memory.update(record.id, content="the clock strikes one")
        await memory.pin(record.id)
        await memory.app.batches.update(memory.app.caller, [PatchOf(id=record.id, importance=0.9)])
        await memory.delete(record.id)
        await memory.restore(record.id)
        await memory.app.memories.delete_some(memory.app.caller, Scope(user_id="ada"))

    assert len(await memory.history(record.id)) == 7
    await check_times(memory, record, deleted=True)


async def test_only_the_memories_that_a_fast_clock_wrote_are_moved_behind_it(memory: AsyncMemory) -> None:
    with clock_of(memory, SLOWER):
        (ahead,) = (await memory.add("written by the fast clock", user_id="ada")).memories
    (other,) = (await memory.add("written by the right clock", user_id="ada")).memories
    before = utc_now()
    await memory.delete_all(user_id="ada")
    after = utc_now()

    assert (await memory.history(ahead.id))[-1].changed_at == ahead.updated_at + timedelta(microseconds=1)
    deletions = [(await memory.history(record.id))[-1] for record in (ahead, other)]
    assert before <= deletions[1].changed_at <= after
    assert all(before <= (change.memory.deleted_at or after) <= after for change in deletions)
    assert (await memory.doctor()).findings == []


async def test_processes_that_race_to_change_one_memory_leave_rising_times(store: Store, memory: AsyncMemory) -> None:
    (record,) = (await memory.add("everybody wants me")).memories
    organization = memory._settings.organization
    arguments = (store.directory, organization, str(record.id), str(CHANGES))
    with python_child(CHANGER, *arguments) as first, python_child(CHANGER, *arguments) as second:
        for child in (first, second):
            assert await asyncio.to_thread(next_line, child) == "ready"
        for child in (first, second):
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        for child in (first, second):
            assert await asyncio.to_thread(next_line, child) == "done"

    assert len(await memory.history(record.id)) == 2 * CHANGES + 1
    await check_times(memory, record)


async def test_history_whose_times_do_not_rise_is_imported_with_rising_times(store: Store, memory: AsyncMemory) -> None:
    (record,) = (await memory.add("first")).memories
    await memory.update(record.id, importance=0.7)
    await memory.pin(record.id)
    (line,) = [line async for line in memory.export()]
    exported = json.loads(line)
    exported["versions"][1]["memory"]["updated_at"] = "2020-01-01T00:00:00Z"
    other = await store.organization()
    await other.import_([json.dumps(exported)])

    assert [change.changed_at for change in await other.history(record.id)][::2] == [
        change.changed_at for change in await memory.history(record.id)
    ][::2]
    await check_times(other, record)


@pytest.mark.parametrize("moved", ["0 seconds", "1 hour"])
async def test_doctor_reports_versions_whose_times_do_not_rise(memory: AsyncMemory, owner: Owner, moved: str) -> None:
    (record,) = (await memory.add("first")).memories
    await memory.update(record.id, importance=0.7)
    names = {"memory": record.id, "moved": moved, "start": record.updated_at}
    moment, of = "%(start)s - %(moved)s::interval", "memory_id = %(memory)s AND version"
    for statement in (
        f"UPDATE agentmem.memories SET known_until = {moment} WHERE {of} = 1",
        f"UPDATE agentmem.memories SET updated_at = {moment} WHERE {of} = 2",
        f"UPDATE agentmem.audit_entries SET at = {moment} WHERE %(memory)s = ANY (targets) AND action LIKE '%%updated'",
    ):
        assert owner.execute(statement, names).rowcount == 1

    assert {finding.code for finding in (await memory.doctor()).findings} == {FindingCode.HISTORY_BROKEN}


async def test_doctor_misses_the_audit_entry_of_a_version_that_was_moved_behind_another(
    memory: AsyncMemory, owner: Owner
) -> None:
    (record,) = (await memory.add("first")).memories
    with clock_of(memory, -SLOWER):
        await memory.update(record.id, importance=0.7)
    owner.execute(
        "DELETE FROM agentmem.audit_entries WHERE %s = ANY (targets) AND action = 'memory.updated'", [record.id]
    )

    assert [finding.code for finding in (await memory.doctor()).findings] == [FindingCode.AUDIT_MISSING]
