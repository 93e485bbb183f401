"""Connections are kept open between transactions; when their server has gone, all of them have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from agentmem.foundation.database.database import Database
from agentmem.foundation.database.probe import DatabaseProbe
from tests.support.embedded_server import wait_until
from tests.support.stores import Owner, Store

KEPT = 8


@pytest.fixture
async def database(store: Store) -> AsyncIterator[Database]:
    app = store.app
    database = Database.open(app.server, app.database.provider, pool_size=KEPT)
    await database.keys(app.caller.organization_id)
    yield database
    await database.close()


async def backends(store: Store, database: Database, number: int = KEPT) -> set[int]:
    """Have so many transactions open at once, and say which processes of the server serve them."""
    together = asyncio.Barrier(number)

    async def one() -> int:
        async with database.transaction(store.app.caller) as tx:
            await together.wait()
            cursor = await tx.driver.execute("SELECT pg_backend_pid()")
            row = await cursor.fetchone()
            assert row is not None
            return int(row[0])

    return set(await asyncio.gather(*(one() for _ in range(number))))


def end(owner: Owner, processes: set[int]) -> None:
    """End these processes of the server, as a restart of it does."""
    owner.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s) pid", [list(processes)])
    left = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY (%s)"
    wait_until(lambda: owner.execute(left, [list(processes)]).fetchone() == (0,))


async def test_first_call_after_all_kept_connections_have_died_is_answered(
    store: Store, owner: Owner, database: Database
) -> None:
    dead = await backends(store, database)
    end(owner, dead)

    for _ in range(KEPT):
        assert not await backends(store, database, 1) & dead


async def test_parallel_calls_after_all_kept_connections_have_died_are_answered(
    store: Store, owner: Owner, database: Database
) -> None:
    dead = await backends(store, database)
    end(owner, dead)

    alive = await backends(store, database)
    assert (len(alive), alive & dead) == (KEPT, set())


async def test_probe_after_all_kept_connections_have_died_finds_the_server_there(
    store: Store, owner: Owner, database: Database
) -> None:
    end(owner, await backends(store, database))

    await DatabaseProbe.of(database).is_usable()


async def test_connection_is_kept_for_the_next_transaction(store: Store, database: Database) -> None:
    first = await backends(store, database, 1)

    assert await backends(store, database, 1) == first
