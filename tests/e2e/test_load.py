"""Many requests, one after the other and all at once: none of them fails."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from tests.support.embedded_server import store_folder
from tests.support.servers import ServerProcess, servers
from tests.support.traffic import bearer

AT_ONCE = 64
PAIRS, SAMPLE = 1000, 200
"""How many adds, and as many searches, in a full run and in a sample."""


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with store_folder() as folder, servers(folder, 1) as (running,):
        yield running


def patient(server: ServerProcess) -> httpx.AsyncClient:
    """Open a client that repeats nothing: a request that fails is seen."""
    limits = httpx.Limits(max_connections=AT_ONCE)
    return httpx.AsyncClient(base_url=f"{server.url}/v1", headers=bearer(server.key), limits=limits, timeout=120)


async def remember(client: httpx.AsyncClient, user: str, number: int) -> None:
    body = {"content": f"The parcel {user}-{number} is on shelf {number % 7}.", "user_id": user}
    added = await client.post("/memories", json=body)
    assert added.status_code == 201, added.text
    assert len(added.json()["memories"]) == 1


async def ask(client: httpx.AsyncClient, user: str, number: int) -> None:
    body = {"query": f"Where is the parcel {user}-{number}?", "scope": {"user_id": user}, "limit": 3}
    found = await client.post("/memories/search", json=body)
    assert found.status_code == 200, found.text
    assert f"{user}-{number} " in found.json()["hits"][0]["memory"]["content"]


async def stored(client: httpx.AsyncClient, user: str) -> object:
    return (await client.get("/stats", params={"user_id": user})).json()["memories"]


@pytest.mark.timeout(900)
async def test_a_thousand_adds_and_searches_one_after_the_other_do_not_fail(
    server: ServerProcess, *, full: bool
) -> None:
    pairs = PAIRS if full else SAMPLE
    async with patient(server) as client:
        for number in range(pairs):
            await remember(client, "one", number)
        for number in range(pairs):
            await ask(client, "one", number)

        assert await stored(client, "one") == pairs


@pytest.mark.timeout(900)
async def test_a_thousand_adds_and_searches_64_at_once_do_not_fail(server: ServerProcess, *, full: bool) -> None:
    pairs = PAIRS if full else SAMPLE

    async def worker(client: httpx.AsyncClient, first: int) -> None:
        for number in range(first, pairs, AT_ONCE):
            await remember(client, "many", number)
            await ask(client, "many", number)

    async with patient(server) as client:
        async with asyncio.TaskGroup() as group:
            for first in range(AT_ONCE):
                group.create_task(worker(client, first))

        assert await stored(client, "many") == pairs
