"""PostgreSQL is restarted and fails over under load: callers are told to wait, and what was acknowledged is there."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.support.embedded_server import open_folder
from tests.support.fleet import Fleet, fleet
from tests.support.load import audit, load
from tests.support.patience import eventually
from tests.support.traffic import bearer

AT_ONCE = 8


@contextmanager
def with_standby() -> Iterator[Fleet]:
    with open_folder() as folder, fleet(folder, size=2, standbys=["standby"]) as running:
        yield running


@pytest.mark.timeout(600)
async def test_nothing_is_lost_when_the_database_restarts_and_when_its_synchronous_standby_takes_over() -> None:
    with with_standby() as installation:
        primary, (standby,) = installation.primary, installation.standbys
        # From here on a commit waits for the standby.
        primary.ask("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
        primary.ask("SELECT pg_reload_conf()")
        async with load(installation.url, installation.key, clients=AT_ONCE) as book:
            await book.grows(20)
            await to_thread(primary.stop_immediately)
            await to_thread(primary.start)
            await book.grows(20)
            await to_thread(primary.kill)
            await to_thread(standby.promote)
            await book.grows(20)

        assert await audit(installation.url, installation.key, book) == []
        assert set(book.answers) <= {200, 201, 409, 503}


@pytest.mark.timeout(600)
async def test_a_database_that_hangs_holds_no_request_for_ever() -> None:
    with open_folder() as folder, fleet(folder, size=1) as installation:
        body = {"content": "The boat is in the reeds.", "user_id": "u"}
        (server,) = installation.servers
        async with httpx.AsyncClient(base_url=server.url, headers=bearer(installation.key), timeout=60) as client:
            assert (await client.post("/v1/memories", json=body)).status_code == 201
            installation.primary.pause()
            try:
                answer = await client.post("/v1/memories/search", json={"query": "boat", "scope": {"user_id": "u"}})
                assert answer.status_code == 503
                assert "retry-after" in answer.headers
                assert (await client.get("/health/live")).status_code == 200
            finally:
                installation.primary.resume()

            async def is_found() -> bool:
                found = await client.post("/v1/memories/search", json={"query": "boat", "scope": {"user_id": "u"}})
                return found.status_code == 200 and len(found.json()["hits"]) == 1

            await eventually(is_found)


@pytest.mark.timeout(600)
async def test_an_asynchronous_standby_loses_no_more_than_what_it_had_not_received(
    record_property: Callable[[str, object], None], *, full: bool
) -> None:
    if not full:
        pytest.skip("is run by make test-full: the other failover is the sample")
    with with_standby() as installation:
        primary, (standby,) = installation.primary, installation.standbys
        async with load(installation.url, installation.key, clients=AT_ONCE) as book:
            await book.grows(20)
            await to_thread(primary.kill)
            # What is begun from now on goes to the standby alone, and is found there at once.
            book.may_be_lost = frozenset().union(*book.attempted.values())
            promised = book.written
            await to_thread(standby.promote)
            await book.grows(20)

        differences = await audit(installation.url, installation.key, book)
        lost = [difference for difference in differences if difference.startswith("lost: ")]
        record_property("lost", len(lost))
        assert [difference for difference in differences if difference not in lost] == []
        # On one machine what was acknowledged has left the primary long before anybody could kill it.
        assert len(lost) <= AT_ONCE, f"of {promised} promised writes"
