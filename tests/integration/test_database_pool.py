"""Connections are kept open between transactions; when their server has gone, all of them have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from agentmem.errors import DatabaseUnavailable
from agentmem.foundation.database.connect import DATABASE, ExternalServer
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.probe import DatabaseProbe
from agentmem.foundation.resilience.breaker import BreakerState
from agentmem.foundation.resilience.guarded import Guarded
from agentmem.kit.ids import OrganizationId
from tests.support.embedded_server import wait_until
from tests.support.patience import eventually
from tests.support.stores import Owner, Store

KEPT = 8


@dataclass
class Seen:
    """Hears what becomes of the database."""

    states: list[str] = field(default_factory=list)
    retries: int = 0

    def breaker_changed(self, dependency: str, state: BreakerState) -> None:
        self.states.append(state.value)

    def retried(self, dependency: str) -> None:
        self.retries += 1


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


async def test_database_that_is_away_is_said_to_be_at_once_and_is_found_when_it_is_back(
    store: Store, tmp_path: Path
) -> None:
    seen = Seen()
    folder = tmp_path / "socket"
    there = conninfo_to_dict(store.app.server.conninfo)
    away = ExternalServer(conninfo=make_conninfo(store.app.server.conninfo, host=str(folder)))
    guarded = Guarded(DATABASE, seen)
    database = Database.open(away, store.app.database.provider, pool_size=KEPT, guarded=guarded)
    keys = database.keys

    async def refusal() -> str:
        with pytest.raises(DatabaseUnavailable) as caught:
            await keys(OrganizationId(uuid4()))  # one organization's are looked for once, however many ask
        return str(caught.value)

    await asyncio.gather(*(refusal() for _ in range(KEPT)))
    assert seen.states[:2] == ["closed", "open"]
    assert 0 < seen.retries <= 10
    assert "left alone" in await refusal()

    folder.symlink_to(str(there["host"]))

    async def is_back() -> bool:
        try:
            await keys(store.app.caller.organization_id)
        except DatabaseUnavailable:
            return False
        return True

    await eventually(is_back)
    assert guarded.state is BreakerState.CLOSED
    await database.close()
