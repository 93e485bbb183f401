"""Many requests, one after the other and all at once: none of them fails."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentmem import AsyncClient
from tests.support.embedded_server import is_down, wait_until
from tests.support.servers import ServerProcess, servers

AT_ONCE = 64


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    # Not pytest's own folder: the embedded server may run as a user that cannot look into it.
    with tempfile.TemporaryDirectory(prefix="agentmem-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with servers(Path(folder) / "store", 1) as (running,):
            yield running
        wait_until(lambda: is_down(Path(folder) / "store"))


def patient(server: ServerProcess) -> AsyncClient:
    """Open a client that repeats nothing: a request that fails is seen."""
    return AsyncClient(server.key, base_url=server.url, retries=0, timeout=60)


async def remember(client: AsyncClient, user: str, number: int) -> None:
    added = await client.add(f"The parcel {user}-{number} is on shelf {number % 7}.", user_id=user)
    assert len(added.memories) == 1


async def ask(client: AsyncClient, user: str, number: int) -> None:
    found = await client.search(f"Where is the parcel {user}-{number}?", user_id=user, limit=3)
    assert f"{user}-{number} " in found.hits[0].memory.content


@pytest.fixture
def pairs(full: bool) -> int:
    """How many adds, and as many searches: a thousand requests together, or a thousand of each in a full run."""
    return 1000 if full else 500


async def test_a_thousand_requests_one_after_the_other_do_not_fail(server: ServerProcess, pairs: int) -> None:
    async with patient(server) as client:
        for number in range(pairs):
            await remember(client, "one", number)
        for number in range(pairs):
            await ask(client, "one", number)

        assert (await client.stats(user_id="one")).memories == pairs


async def test_a_thousand_requests_64_at_once_do_not_fail(server: ServerProcess, pairs: int) -> None:
    async def worker(client: AsyncClient, first: int) -> None:
        for number in range(first, pairs, AT_ONCE):
            await remember(client, "many", number)
            await ask(client, "many", number)

    async with patient(server) as client, asyncio.TaskGroup() as group:
        for first in range(AT_ONCE):
            group.create_task(worker(client, first))
    async with patient(server) as client:
        assert (await client.stats(user_id="many")).memories == pairs
