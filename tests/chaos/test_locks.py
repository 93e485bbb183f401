"""Whoever holds a lock is killed, or sleeps past its time; Redis forgets it or is gone: two never write."""

from __future__ import annotations

import asyncio
import signal
from asyncio import to_thread
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from agentmem import AsyncMemory
from agentmem.errors import Conflict, LockLost
from agentmem.foundation.state.lock import Locks, lock
from agentmem.foundation.state.redis import RedisState
from agentmem.pipelines.health.doctor import REPAIRING
from agentmem.schemas.health import FindingCode
from tests.support.children import Child, next_line, python_child
from tests.support.patience import PATIENCE, eventually
from tests.support.redis_server import RedisServer, redis_server
from tests.support.stores import Owner, Store

WORK = "counting the boats"
SECONDS = 1.0
"""How long a lock of these tests outlives its holder."""
HOLDER = """
import asyncio, sys
from dataclasses import replace
from agentmem import AsyncMemory
from agentmem.errors import AgentMemError

async def main(directory, organization, redis_url, work, seconds):
    settings = {"data_directory": directory, "organization": organization, "redis_url": redis_url, "linger": 0.5}
    async with AsyncMemory(**settings) as memory:
        locks = replace(memory.app.locks, seconds=float(seconds))
        async with locks.hold(memory.app.caller, work) as caller:
            memory._opened = replace(memory.app, caller=caller)
            await memory.add("counted by the first")
            print("holds", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            try:
                await memory.add("counted by the first, later")
                print("written", flush=True)
            except AgentMemError as error:
                print(error.code, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as running:
        yield running


@pytest.fixture
async def memory(store: Store, server: RedisServer) -> AsyncIterator[AsyncMemory]:
    settings = {"data_directory": store.directory, "redis_url": server.url, "linger": 0.5}
    async with AsyncMemory(organization=f"test-{uuid4().hex}", **settings) as memory:
        yield memory


@contextmanager
def holder(memory: AsyncMemory, server: RedisServer) -> Iterator[Child]:
    """Start a process that holds the lock, has written once, and writes again when it is told to."""
    settings = memory.app.settings
    given = (str(settings.data_directory), settings.organization, server.url, WORK, str(SECONDS))
    with python_child(HOLDER, *given) as child:
        assert next_line(child) == "holds"
        yield child


async def goes_on(child: Child) -> str:
    """Tell a holder to write again, and give what became of that."""
    assert child.stdin is not None
    child.stdin.write("go on\n")
    child.stdin.flush()
    told = await to_thread(next_line, child)
    while told and not told.isidentifier():  # what is logged meanwhile
        told = await to_thread(next_line, child)
    return told


def locks_of(memory: AsyncMemory) -> Locks:
    return replace(memory.app.locks, seconds=SECONDS)


async def write_as_the_second(memory: AsyncMemory) -> None:
    """Take the lock over when it is free, and write."""
    async with locks_of(memory).hold(memory.app.caller, WORK, wait=PATIENCE) as caller:
        second = AsyncMemory(organization=memory.app.settings.organization)
        second._opened = replace(memory.app, caller=caller)
        await second.add("counted by the second")


async def contents(memory: AsyncMemory) -> set[str]:
    return {item.content for item in (await memory.list()).items}


async def test_holder_that_sleeps_past_its_time_writes_nothing_when_it_wakes_up(
    memory: AsyncMemory, server: RedisServer
) -> None:
    with holder(memory, server) as first:
        with pytest.raises(Conflict, match=WORK):
            async with locks_of(memory).hold(memory.app.caller, WORK):
                pass
        first.send_signal(signal.SIGSTOP)
        await write_as_the_second(memory)
        first.send_signal(signal.SIGCONT)

        assert await goes_on(first) == "lock_lost"
    assert await contents(memory) == {"counted by the first", "counted by the second"}


async def test_holder_that_was_only_slow_still_writes(memory: AsyncMemory, server: RedisServer) -> None:
    with holder(memory, server) as first:
        await asyncio.sleep(2 * SECONDS)
        with pytest.raises(Conflict):
            async with locks_of(memory).hold(memory.app.caller, WORK):
                pass

        assert await goes_on(first) == "written"


async def test_lock_of_a_killed_holder_is_free_after_its_time(memory: AsyncMemory, server: RedisServer) -> None:
    with holder(memory, server) as first:
        first.kill()
        first.wait()

        await write_as_the_second(memory)
    assert await contents(memory) == {"counted by the first", "counted by the second"}


async def test_without_redis_the_fence_alone_stops_the_earlier_holder(memory: AsyncMemory, server: RedisServer) -> None:
    with holder(memory, server) as first:
        server.kill()
        await write_as_the_second(memory)

        assert await goes_on(first) == "lock_lost"
    assert await contents(memory) == {"counted by the first", "counted by the second"}


async def test_a_lock_that_redis_forgot_is_taken_again_by_its_holder(server: RedisServer) -> None:
    state = RedisState(server.url, timeout=PATIENCE)
    other = RedisState(server.url, timeout=PATIENCE)
    async with lock(state, "tag", WORK, seconds=SECONDS):
        with server.client() as client:
            client.flushall()

            async def is_back() -> bool:
                return bool(client.exists(f"agentmem:{{tag}}:lock:{WORK}"))

            await eventually(is_back)
        with pytest.raises(Conflict):
            async with lock(other, "tag", WORK):
                pass
    async with lock(other, "tag", WORK):
        pass
    await state.aclose()
    await other.aclose()


async def test_what_was_begun_before_may_finish_its_transaction_and_nothing_after_it(memory: AsyncMemory) -> None:
    database, caller = memory.app.database, memory.app.caller
    first = await database.fenced(caller, WORK)
    async with database.transaction(first):
        beginning = asyncio.create_task(database.fenced(caller, WORK))
        await asyncio.sleep(0.1)
        assert not beginning.done()
    second = await beginning

    with pytest.raises(LockLost):
        async with database.transaction(first):
            pass
    async with database.transaction(second):
        pass
    async with database.transaction(first, read_only=True), database.transaction(caller):
        pass


async def test_works_and_organizations_have_fences_of_their_own(memory: AsyncMemory, store: Store) -> None:
    database, other = memory.app.database, await store.organization()
    first = await database.fenced(memory.app.caller, WORK)

    await database.fenced(memory.app.caller, "another work")
    await other.app.database.fenced(other.app.caller, WORK)

    async with database.transaction(first):
        pass


async def test_two_repairs_of_an_organization_do_not_run_at_once(memory: AsyncMemory, owner: Owner) -> None:
    app = memory.app
    await memory.add("the heron stands in the reeds")
    owner.execute("DELETE FROM agentmem.vectors WHERE organization_id = %s", [app.caller.organization_id])
    async with app.locks.hold(app.caller, REPAIRING):
        with pytest.raises(Conflict, match=REPAIRING):
            await memory.doctor(repair=True)
        assert (await memory.doctor()).counts == {FindingCode.VECTOR_MISSING: 1}

    assert FindingCode.VECTOR_MISSING not in (await memory.doctor(repair=True)).counts
