"""Redis dies, hangs or forgets everything: requests go on, and the processes find it again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from agentmem.errors import StateUnavailable
from agentmem.foundation.state.fallback import FallbackState
from agentmem.foundation.state.memory import MemoryState
from agentmem.foundation.state.port import Quota
from agentmem.foundation.state.redis import RedisState
from tests.support.embedded_server import open_folder
from tests.support.fleet import fleet
from tests.support.load import audit, load
from tests.support.patience import PATIENCE, eventually
from tests.support.redis_server import RedisServer, redis_server
from tests.support.redis_topologies import topologies
from tests.support.traffic import bearer

CHANNEL = "revoked"
WORKERS = 16


class Counted:
    """A state with a fallback, and how often it fell back."""

    def __init__(self, url: str) -> None:
        self.falls = 0
        self.state = FallbackState(RedisState(url), MemoryState(), fell_back=self._fell)

    def _fell(self) -> None:
        self.falls += 1


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as running:
        yield running


@pytest.fixture
async def counted(server: RedisServer) -> AsyncIterator[Counted]:
    counted = Counted(server.url)
    yield counted
    await counted.state.aclose()


async def use(state: FallbackState) -> None:
    """Do what a request does."""
    organization = str(uuid4())
    quota = Quota(name="key", subject="key", limit=10)
    assert (await state.take(organization, [quota], 1)).levels[0].remaining == 9
    await state.put(organization, "query:1", b"value", seconds=60)
    assert await state.get(organization, "query:1") in {b"value", None}
    await state.publish(CHANNEL, "message")


async def under_load(state: FallbackState, disturb: Callable[[], None]) -> int:
    """Use a state from many tasks, disturb it in the middle, and count the uses that went on after that."""
    done, ending = 0, asyncio.Event()

    async def work() -> None:
        nonlocal done
        while not ending.is_set():
            await use(state)
            await asyncio.sleep(0)  # without Redis nothing else here gives way
            done += 1

    async def counts(least: int) -> bool:
        return done >= least

    async with asyncio.TaskGroup() as workers:
        for _ in range(WORKERS):
            workers.create_task(work())
        await eventually(lambda: counts(WORKERS * 2))
        disturb()
        before = done
        await eventually(lambda: counts(before + WORKERS * 10))
        ending.set()
    return done - before


async def test_requests_go_on_when_redis_is_killed(counted: Counted, server: RedisServer) -> None:
    await under_load(counted.state, server.kill)

    assert counted.falls > 0
    with pytest.raises(StateUnavailable):
        await counted.state.ping()


async def test_requests_go_on_when_redis_hangs(counted: Counted, server: RedisServer) -> None:
    await under_load(counted.state, server.freeze)

    assert counted.falls > 0
    server.thaw()


async def test_requests_go_on_when_redis_forgets_everything(counted: Counted, server: RedisServer) -> None:
    def forget() -> None:
        with server.client() as client:
            client.flushall()
            client.script_flush()

    await under_load(counted.state, forget)

    assert counted.falls == 0


async def test_requests_go_on_through_a_failover_of_sentinels(tmp_path: Path) -> None:
    with topologies(tmp_path) as running:
        sentinels = running.sentinels
        counted = Counted(sentinels.url)
        first = sentinels.leader()
        await under_load(counted.state, sentinels.master.kill)

        async def uses_redis() -> bool:
            before = counted.falls
            await use(counted.state)
            return counted.falls == before and sentinels.leader() != first

        await eventually(uses_redis)
        await counted.state.ping()
        await counted.state.aclose()


@pytest.mark.timeout(600)
async def test_servers_go_on_through_a_failover_of_sentinels_and_share_what_is_revoked_after_it(tmp_path: Path) -> None:
    with topologies(tmp_path) as running, open_folder() as folder:
        sentinels = running.sentinels
        first = sentinels.leader()
        with fleet(folder, size=2, redis_url=sentinels.url) as installation:
            async with load(installation.url, installation.key, clients=8) as book:
                await book.grows(20)
                await asyncio.to_thread(sentinels.master.kill)
                await book.grows(20)
            assert await audit(installation.url, installation.key, book) == []
            assert set(book.answers) <= {200, 201}

            one, other = (
                httpx.AsyncClient(base_url=server.url, headers=bearer(installation.key), timeout=60)
                for server in installation.servers
            )
            async with one, other:

                async def shares_redis() -> bool:
                    states = [(await each.get("/health")).json()["status"] for each in (one, other)]
                    return sentinels.leader() != first and states == ["ok", "ok"]

                await eventually(shares_redis)
                made = (await one.post("/v1/api-keys", json={"name": "brief"})).json()
                assert (await other.get("/v1/me", headers=bearer(made["key"]))).status_code == 200
                await one.delete(f"/v1/api-keys/{made['api_key']['id']}")
                await asyncio.sleep(1)
                assert (await other.get("/v1/me", headers=bearer(made["key"]))).status_code == 401


async def test_a_redis_that_was_started_again_is_used_again(counted: Counted, server: RedisServer) -> None:
    await use(counted.state)
    server.kill()
    await use(counted.state)
    assert counted.falls > 0

    server.start()

    async def uses_redis() -> bool:
        before = counted.falls
        await use(counted.state)
        return counted.falls == before

    await eventually(uses_redis)
    await counted.state.ping()


async def test_a_listener_is_told_of_the_gap_after_redis_was_away(counted: Counted, server: RedisServer) -> None:
    async with counted.state.subscribe(CHANNEL) as messages, asyncio.timeout(PATIENCE):
        await counted.state.publish(CHANNEL, "before")
        assert await anext(messages) == "before"

        server.kill()
        server.start()

        assert not await anext(messages)


async def test_a_listener_who_began_without_redis_hears_it_later(counted: Counted, server: RedisServer) -> None:
    server.kill()
    async with counted.state.subscribe(CHANNEL) as messages, asyncio.timeout(PATIENCE):
        await counted.state.publish(CHANNEL, "to this process")
        assert await anext(messages) == "to this process"

        server.start()
        assert not await anext(messages)
        with server.client() as client:
            client.publish(f"agentmem:{CHANNEL}", "to all")
        assert await anext(messages) == "to all"


async def test_a_hanging_redis_is_a_gap_to_its_listeners(counted: Counted, server: RedisServer) -> None:
    async with counted.state.subscribe(CHANNEL) as messages, asyncio.timeout(PATIENCE):
        waiting = asyncio.ensure_future(anext(messages))
        server.freeze()
        await asyncio.sleep(3)
        server.thaw()

        assert not await waiting
