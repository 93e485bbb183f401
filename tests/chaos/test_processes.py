"""Many processes on one embedded store: nobody is refused, nothing is lost, everybody finds what was just written."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path

from agentmem import AsyncMemory
from tests.support.children import next_line, python_child
from tests.support.embedded_server import is_down, wait_until

PROCESSES = 8
SAMPLE_SECONDS = 2
WHOLE_SECONDS = 30

WORKER = """
import json, sys, time
from agentmem import Memory
number, seconds = int(sys.argv[2]), float(sys.argv[3])
with Memory(data_directory=sys.argv[1], organization="busy", linger=0.5, pool_size=2) as memory:
    print("ready", flush=True)
    sys.stdin.readline()
    until = time.monotonic() + seconds
    written, count = [], 0
    while time.monotonic() < until or not written:
        marker = f"mark{number}x{count}"
        scope = {} if count % 2 else {"user_id": f"user-{number}"}
        added = memory.add(f"process {number} says {marker} to everybody", **scope).memories[0]
        written.append(str(added.id))
        mode = ("hybrid", "lexical")[count % 4 // 2]
        found = memory.search(marker, limit=3, mode=mode, **scope).hits
        assert found and found[0].memory.id == added.id, (marker, mode, [hit.memory.content for hit in found])
        assert memory.get(added.id) == added
        if count % 5 == 0:
            memory.update(added.id, content=f"process {number} corrects {marker}fix")
            assert memory.search(f"{marker}fix", limit=1, **scope).hits[0].memory.id == added.id
        if count % 7 == 0:
            memory.delete(added.id)
            assert not [hit for hit in memory.search(marker, limit=100, **scope).hits if hit.memory.id == added.id]
            written.pop()
        count += 1
    print(json.dumps(written), flush=True)
"""


async def test_eight_processes_write_and_search_one_store(tmp_path: Path, full: bool) -> None:
    directory = tmp_path / "store"
    seconds = WHOLE_SECONDS if full else SAMPLE_SECONDS
    with ExitStack() as stack:
        children = [
            stack.enter_context(python_child(WORKER, directory, str(number), str(seconds)))
            for number in range(PROCESSES)
        ]
        for child in children:
            assert await asyncio.to_thread(next_line, child) == "ready"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        outcomes = await asyncio.gather(*(asyncio.to_thread(child.communicate) for child in children))
        assert [(child.returncode, error) for child, (_, error) in zip(children, outcomes, strict=True)] == [
            (0, "") for _ in children
        ]
    written = [memory_id for output, _ in outcomes for memory_id in json.loads(output)]

    async with AsyncMemory(data_directory=directory, organization="busy", linger=0) as memory:
        report = await memory.doctor()
        assert (report.healthy, report.findings) == (True, [])
        assert (await memory.stats()).memories == len(written)
        for memory_id in written:
            assert str((await memory.get(memory_id)).id) == memory_id
    assert all(json.loads(output) for output, _ in outcomes)
    wait_until(lambda: is_down(directory))


async def test_idle_process_finds_what_others_write_and_forgets_what_they_delete(tmp_path: Path) -> None:
    directory = tmp_path / "store"
    async with (
        AsyncMemory(data_directory=directory, linger=0) as first,
        AsyncMemory(data_directory=directory, linger=0) as second,
    ):
        added = (await first.add("a message in a bottle")).memories[0]
        assert (await second.get(added.id)) == added
        await second.delete(added.id)
        assert (await first.search("bottle")).hits == []
    wait_until(lambda: is_down(directory))
