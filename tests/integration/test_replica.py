"""Searches on a read replica: what was written is found, however far the replica is behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from agentmem import AsyncMemory
from agentmem.errors import ConfigurationError
from tests.support.patience import eventually
from tests.support.postgres_nodes import PostgresNode, postgres_nodes


@pytest.fixture(scope="module")
def nodes() -> Iterator[tuple[PostgresNode, PostgresNode]]:
    with postgres_nodes("replica") as (primary, (replica,)):
        yield primary, replica


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "master.json"


@pytest_asyncio.fixture
async def pair(nodes: tuple[PostgresNode, PostgresNode], key: Path) -> AsyncIterator[tuple[AsyncMemory, ...]]:
    """Two processes' worth of the library over the two servers."""
    primary, replica = nodes
    settings: dict[str, object] = {"database_url": primary.url, "database_replica_url": replica.url, "key_file": key}
    async with AsyncMemory(**settings) as writer, AsyncMemory(**settings) as reader:
        yield writer, reader


def reads_of(node: PostgresNode) -> int:
    """How often a server has looked into an index of the memories."""
    scans = node.ask("SELECT sum(idx_scan) FROM pg_stat_user_tables WHERE relname = 'memories'")
    return int(str(scans or 0))


async def found(memory: AsyncMemory, query: str) -> list[str]:
    return [hit.memory.content for hit in (await memory.search(query, user_id="u")).hits]


async def returned_to(node: PostgresNode, memory: AsyncMemory, query: str, content: str) -> None:
    """Wait until searches are read from a server again; what they look for is found all the while."""
    before = reads_of(node)

    async def is_read() -> bool:
        assert content in await found(memory, query)
        return reads_of(node) > before

    await eventually(is_read)


async def test_searches_go_to_the_replica_and_find_what_another_process_has_just_written(
    nodes: tuple[PostgresNode, PostgresNode], pair: tuple[AsyncMemory, AsyncMemory]
) -> None:
    writer, reader = pair
    for number in range(20):
        await writer.add(f"the kettle number {number} is green", user_id="u")
        assert f"the kettle number {number} is green" in await found(reader, f"kettle number {number}")

    before = reads_of(nodes[1])

    async def is_read() -> bool:
        await found(reader, "kettle")
        return reads_of(nodes[1]) > before

    await eventually(is_read)


async def test_write_is_found_while_the_replica_lags(
    nodes: tuple[PostgresNode, PostgresNode], pair: tuple[AsyncMemory, AsyncMemory]
) -> None:
    writer, reader = pair
    nodes[1].ask("SELECT pg_wal_replay_pause()")
    try:
        await writer.add("the spare key is under the mat", user_id="u")

        assert "the spare key is under the mat" in await found(reader, "where is the spare key")
        assert nodes[1].ask("SELECT pg_last_wal_replay_lsn() < pg_last_wal_receive_lsn()") is True
    finally:
        nodes[1].ask("SELECT pg_wal_replay_resume()")


async def test_searches_go_on_without_the_replica_and_return_to_it(
    nodes: tuple[PostgresNode, PostgresNode], pair: tuple[AsyncMemory, AsyncMemory]
) -> None:
    writer, reader = pair
    await writer.add("the tent is in the attic", user_id="u")
    await found(reader, "tent")
    nodes[1].kill()

    assert "the tent is in the attic" in await found(reader, "where is the tent")

    nodes[1].start()
    await returned_to(nodes[1], reader, "where is the tent", "the tent is in the attic")


async def test_replica_that_hangs_holds_no_search_up(
    nodes: tuple[PostgresNode, PostgresNode], pair: tuple[AsyncMemory, AsyncMemory]
) -> None:
    writer, reader = pair
    await writer.add("the sledge is in the cellar", user_id="u")
    await found(reader, "sledge")
    nodes[1].pause()
    try:
        # Less than the driver takes to give up a connection on which nobody answers: no expectation of speed.
        async with asyncio.timeout(8):
            assert "the sledge is in the cellar" in await found(reader, "where is the sledge")
    finally:
        nodes[1].resume()
    await returned_to(nodes[1], reader, "where is the sledge", "the sledge is in the cellar")


async def test_replica_that_is_none_is_not_believed(nodes: tuple[PostgresNode, PostgresNode], key: Path) -> None:
    primary, _ = nodes
    async with AsyncMemory(database_url=primary.url, database_replica_url=primary.url, key_file=key) as memory:
        await memory.add("the ladder is in the shed", user_id="u")

        assert "the ladder is in the shed" in await found(memory, "where is the ladder")


async def test_malformed_address_of_a_replica_is_refused_and_not_repeated(
    nodes: tuple[PostgresNode, PostgresNode], key: Path
) -> None:
    url = "a s3cret that is no address"
    with pytest.raises(ConfigurationError, match="AGENTMEM_DATABASE_REPLICA_URL") as refused:
        await AsyncMemory(database_url=nodes[0].url, database_replica_url=url, key_file=key).open()

    assert "s3cret" not in str(refused.value)
