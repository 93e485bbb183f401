"""Writers and servers killed at any moment: what was answered is there once and whole, nothing else is seen."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from agentmem import AsyncMemory
from agentmem.errors import DatabaseUnavailable
from agentmem.foundation.database.connect import connect_as_owner
from tests.support.children import next_line, python_child
from tests.support.embedded_server import is_down, kill, postmaster, server_processes, wait_until

SAMPLE = 4
WHOLE = 50
BATCH = 3

WRITER = """
import itertools, json, sys
from agentmem import Memory
memory = Memory(data_directory=sys.argv[1], organization="chaos")
print("ready", flush=True)
for number in itertools.count():
    name = f"r{sys.argv[2]}n{number}"
    one = memory.add(f"alone {name}", user_id="writer")
    print(json.dumps([str(record.id) for record in one.memories]), flush=True)
    texts = [{"role": "user", "content": f"part {part} of batch{name}"} for part in range(3)]
    three = memory.add(texts, user_id="writer", idempotency_key=name)
    print(json.dumps([str(record.id) for record in three.memories]), flush=True)
    changed = memory.update(one.memories[0].id, content=f"changed {name}")
    print(json.dumps([[str(changed.id), changed.version]]), flush=True)
"""
BULK = """
import itertools, sys
from agentmem import Memory
memory = Memory(data_directory=sys.argv[1], organization="chaos")
print("ready", flush=True)
texts = (f"bulk{sys.argv[2]} text {number}" for number in itertools.count())
memory.add_many(texts, user_id="bulk", progress=lambda size: print(size, flush=True))
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
async def memory(directory: Path) -> AsyncIterator[AsyncMemory]:
    async with AsyncMemory(data_directory=directory, organization="chaos", linger=0.2) as memory:
        yield memory
    wait_until(lambda: is_down(directory))


@pytest.fixture
def rounds(full: bool) -> range:
    return range(WHOLE if full else SAMPLE)


def read_answers(output: str) -> tuple[set[UUID], dict[UUID, int]]:
    """Read what a writer was answered before it was killed; a line cut short was not read by anybody."""
    added: set[UUID] = set()
    updated: dict[UUID, int] = {}
    for line in output.splitlines(keepends=True):
        if not line.endswith("\n") or line == "ready\n":
            continue
        for item in json.loads(line):
            if isinstance(item, list):
                updated[UUID(item[0])] = item[1]
            else:
                added.add(UUID(item))
    return added, updated


async def check_answers(memory: AsyncMemory, added: set[UUID], updated: dict[UUID, int]) -> None:
    """Check the tables themselves: each memory that was answered is there once, with all that makes it findable."""
    ids = sorted(added)
    with connect_as_owner(memory.app.server) as owner:
        rows = owner.execute(
            "SELECT m.memory_id, m.version, count(DISTINCT v.place), count(DISTINCT e.place), "
            "(SELECT count(*) FROM agentmem.audit_entries a WHERE m.memory_id = ANY (a.targets) AND outcome = 'done'), "
            "(SELECT count(*) FROM agentmem.memories h WHERE h.memory_id = m.memory_id) "
            "FROM agentmem.memories m LEFT JOIN agentmem.vectors v ON v.place = m.place AND v.live "
            "LEFT JOIN agentmem.index_entries e ON e.place = m.place "
            "WHERE m.memory_id = ANY (%s) AND m.known_until IS NULL GROUP BY m.memory_id, m.version",
            [ids],
        ).fetchall()
    assert sorted(str(row[0]) for row in rows) == sorted(map(str, ids))
    for memory_id, version, vectors, entries, audited, versions in rows:
        assert isinstance(memory_id, UUID)
        assert (vectors, entries) == (1, 1)
        assert (audited, versions) == (version, version)
        assert int(str(version)) >= updated.get(memory_id, 1)


async def check_whole(memory: AsyncMemory, names: set[str]) -> None:
    """Check what readers see: batches whole or not at all, no text twice, every index in order."""
    report = await memory.doctor()
    assert (report.healthy, report.findings) == (True, [])
    seen: Counter[str] = Counter()
    cursor = None
    while True:
        page = await memory.list(user_id="writer", limit=1000, cursor=cursor)
        seen.update(record.content for record in page.items)
        cursor = page.next_cursor
        if cursor is None:
            break
    assert not seen or max(seen.values()) == 1
    batches = Counter(content.rsplit(" ", 1)[1] for content in seen if content.startswith("part "))
    assert set(batches.values()) <= {BATCH}
    for name in sorted(names)[:5]:
        hits = (await memory.search(f"batch{name}", mode="lexical", user_id="writer")).hits
        assert len(hits) == BATCH


async def test_writer_killed_at_any_moment_loses_and_halves_nothing(
    memory: AsyncMemory, directory: Path, rounds: range
) -> None:
    added: set[UUID] = set()
    updated: dict[UUID, int] = {}
    for number in rounds:
        with python_child(WRITER, directory, str(number)) as child:
            assert await asyncio.to_thread(next_line, child) == "ready"
            await asyncio.sleep(random.Random(number).uniform(0, 0.6))
            child.kill()
            output, _ = await asyncio.to_thread(child.communicate)
        some, changed = read_answers(output)
        added |= some
        updated |= changed
        await check_answers(memory, added, updated)
    assert added

    await check_whole(memory, set())
    assert (await memory.stats()).memories >= len(added)


async def test_bulk_writer_killed_at_any_moment_leaves_whole_batches(
    memory: AsyncMemory, directory: Path, rounds: range
) -> None:
    stored = 0
    for number in rounds[: len(rounds) // 2]:
        with python_child(BULK, directory, str(number)) as child:
            assert await asyncio.to_thread(next_line, child) == "ready"
            await asyncio.sleep(random.Random(number).uniform(0.1, 1.5))
            child.kill()
            output, _ = await asyncio.to_thread(child.communicate)
        sizes = [int(line) for line in output.split("\n")[:-1]]
        before, stored = stored, (await memory.stats(user_id="bulk")).memories
        # What was announced is there, and at most one batch more whose announcement was cut off.
        assert stored - before in {sum(sizes), sum(sizes) + 256}

    report = await memory.doctor()
    assert (report.healthy, report.findings) == (True, [])


async def write_on(memory: AsyncMemory, writer: int, stop: asyncio.Event) -> tuple[set[UUID], int]:
    """Add until told to stop, repeating with the same key what the server's end interrupted."""
    added: set[UUID] = set()
    interrupted = 0
    number = 0
    while not stop.is_set():
        name = f"w{writer}n{number}"
        texts = [{"role": "user", "content": f"part {part} of batch{name}"} for part in range(BATCH)]
        try:
            answer = await memory.add(texts, user_id="writer", idempotency_key=name)
        except DatabaseUnavailable:
            interrupted += 1
            await asyncio.sleep(0.05)
            continue
        added |= {record.id for record in answer.memories}
        number += 1
    return added, interrupted


@pytest.mark.parametrize("victim", ["postmaster", "backend"])
async def test_server_killed_at_any_moment_loses_nothing_and_comes_back(
    memory: AsyncMemory, directory: Path, rounds: range, victim: str
) -> None:
    chance = random.Random(victim)
    stop = asyncio.Event()
    writers = [asyncio.create_task(write_on(memory, writer, stop)) for writer in range(4)]
    for _ in rounds:
        await asyncio.sleep(chance.uniform(0.1, 0.8))
        first = postmaster(directory)
        others = [process for process in await asyncio.to_thread(server_processes, directory) if process != first]
        kill(first if victim == "postmaster" or not others else chance.choice(others))
        await until_it_answers(memory)
    stop.set()
    results = await asyncio.gather(*writers)
    added = {memory_id for some, _ in results for memory_id in some}
    assert added

    await check_answers(memory, added, {})
    await check_whole(memory, {"w0n0", "w1n0"})
    assert (await memory.stats()).memories == len(added)


async def until_it_answers(memory: AsyncMemory) -> None:
    """Wait until the server is there again; while it starts, calls say that they may be repeated."""
    for _ in range(600):
        try:
            await memory.stats()
        except DatabaseUnavailable:
            await asyncio.sleep(0.05)
        else:
            return
    raise AssertionError("the server did not come back")
