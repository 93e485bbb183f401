"""A server that has too much to do says so, instead of queueing without end; its health is told all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from tests.support.patience import eventually
from tests.support.served import client, key_of
from tests.support.stores import Store
from tests.support.toys import Toy


def assert_told_to_come_again(response: httpx.Response, code: str) -> None:
    """Check a refusal for want of capacity."""
    assert response.status_code == 503
    assert response.json()["code"] == code
    assert int(response.headers["retry-after"]) >= 1


async def has_waiting(toy: Toy, count: int) -> bool:
    return toy.waiting == count


async def test_requests_beyond_the_limit_are_told_to_come_again() -> None:
    toy = Toy(max_in_flight=2, max_queued=0)
    async with toy.client() as client, asyncio.TaskGroup() as tasks:
        busy = [tasks.create_task(client.get("/wait")) for _ in range(2)]
        await eventually(lambda: has_waiting(toy, 2))
        assert_told_to_come_again(await client.get("/wait"), "overloaded")
        assert_told_to_come_again(await client.get("/nowhere"), "overloaded")
        assert (await client.get("/health/live")).text == "alive"
        toy.gate.set()
        assert [(await task).text for task in busy] == ["done", "done"]
        assert (await client.get("/wait")).text == "done"


async def test_some_requests_wait_for_their_turn() -> None:
    toy = Toy(max_in_flight=1, max_queued=1)
    async with toy.client() as client, asyncio.TaskGroup() as tasks:
        tasks.create_task(client.get("/wait"))
        await eventually(lambda: has_waiting(toy, 1))
        queued = tasks.create_task(client.post("/echo", content=b"four"))
        await asyncio.sleep(0)
        refused = client.post("/echo", content=b"x")
        assert_told_to_come_again(await refused, "overloaded")
        toy.gate.set()
        assert (await queued).text == "4"


async def test_organization_has_its_share_of_the_turns_and_leaves_the_others_to_others(store: Store) -> None:
    few = {"max_in_flight": 8, "max_in_flight_organization": 2, "max_queued": 0}
    app = replace(store.app, settings=store.app.settings.model_copy(update=few))
    greedy, modest = [await key_of(await store.organization()) for _ in range(2)]
    begun, rest = 0, asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        nonlocal begun
        begun += 1
        yield b'{"query": '
        await rest.wait()
        yield b'"tea"}'

    async def search(client: httpx.AsyncClient) -> int:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {greedy}"}
        return (await client.post("/v1/memories/search", content=slowly(), headers=headers)).status_code

    async def both_have_begun() -> bool:
        return begun == 2

    async with client(app, modest) as opened, asyncio.TaskGroup() as tasks:
        stalled = [tasks.create_task(search(opened)) for _ in range(2)]
        await eventually(both_have_begun)
        refused = await opened.get("/v1/me", headers={"Authorization": f"Bearer {greedy}"})
        assert_told_to_come_again(refused, "overloaded")
        assert (await opened.get("/v1/me")).status_code == 200
        rest.set()
        assert [await task for task in stalled] == [200, 200]


async def test_requests_that_take_too_long_are_ended() -> None:
    toy = Toy(request_timeout=0.05, max_in_flight=1)
    async with toy.client() as client:
        assert_told_to_come_again(await client.get("/wait"), "deadline_exceeded")
        # Its turn was given back, and a route without a limit of time may take as long as it likes.
        async with asyncio.TaskGroup() as tasks:
            longest = tasks.create_task(client.get("/forever"))
            await asyncio.sleep(0.1)
            toy.gate.set()
            assert (await longest).text == "done"


async def test_bodies_that_do_not_arrive_are_given_up() -> None:
    toy = Toy(body_timeout=0.05)

    async def stalled() -> AsyncIterator[bytes]:
        yield b"half"
        await asyncio.sleep(30)
        yield b"never"

    async with toy.client() as client:
        response = await client.post("/echo", content=stalled())
    assert response.status_code == 408
    assert response.json()["code"] == "request_timeout"
    assert response.headers["connection"] == "close"


async def test_clients_that_leave_give_their_turn_back() -> None:
    toy = Toy(max_in_flight=1, max_queued=0)
    async with toy.client() as client:
        gone = asyncio.create_task(client.get("/wait"))
        await eventually(lambda: has_waiting(toy, 1))
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        toy.gate.set()
        assert (await client.get("/wait")).text == "done"


async def test_answers_end_their_connections_while_the_server_drains() -> None:
    toy = Toy()
    async with toy.client() as client:
        assert "connection" not in (await client.get("/health/live")).headers
        toy.draining.begun = True
        assert (await client.get("/health/live")).headers["connection"] == "close"
        assert (await client.get("/nowhere")).headers["connection"] == "close"
