"""A whole installation under load, while its parts are killed: nothing acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import asyncio
import random
from asyncio import to_thread
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.embedded_server import open_folder
from tests.support.fleet import Fleet, fleet
from tests.support.load import audit, load
from tests.support.patience import eventually
from tests.support.receiver import Receiver, receiving
from tests.support.servers import ServerProcess
from tests.support.traffic import bearer

AT_ONCE = 64


@pytest.fixture(scope="module")
def installation() -> Iterator[Fleet]:
    with open_folder() as folder, fleet(folder, size=3, workers=2) as running:
        yield running


def call(server: ServerProcess, key: str, method: str, path: str, body: object = None) -> Any:
    """Send a request that must succeed, and give its answer."""
    answer = httpx.request(method, f"{server.url}/v1{path}", headers=bearer(key), json=body, timeout=60)
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


def ahead_by(seconds: int) -> dict[str, str]:
    """Give the environment of a process whose clock is wrong; the pace of its timers is not."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not libraries:
        pytest.skip("needs faketime: make services")
    return {"LD_PRELOAD": str(libraries[0]), "FAKETIME": f"+{seconds}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


@pytest.mark.timeout(600)
async def test_a_server_whose_clock_is_90_seconds_ahead_harms_nothing(installation: Fleet) -> None:
    with fast_server(installation, 90) as fast:
        right = installation.servers[0]
        async with load(fast.url, installation.key, clients=4) as book, load(right.url, installation.key, clients=4):
            await book.grows(20)
        assert await audit(right.url, installation.key, book) == []

        made = [
            call(server, installation.key, "POST", "/api-keys", {"name": "test"})["key"] for server in (fast, right)
        ]
        for server in (fast, right):
            for key in made:
                call(server, key, "GET", "/me")
        memory = call(
            fast, installation.key, "POST", "/memories", {"content": "The clock is wrong.", "user_id": "clock"}
        )
        (stored,) = memory["memories"]
        difference = abs(datetime.now(UTC) - datetime.fromisoformat(stored["created_at"]))
        assert difference < timedelta(seconds=60)
        for number, server in enumerate((right, fast) * 3):
            call(server, installation.key, "PATCH", f"/memories/{stored['id']}", {"metadata": {"number": number}})
        history = call(right, installation.key, "GET", f"/memories/{stored['id']}/history")
        assert [change["version"] for change in history["items"]] == list(range(1, 8))


@contextmanager
def fast_server(installation: Fleet, seconds: int) -> Iterator[ServerProcess]:
    server = ServerProcess(installation.folder, installation.settings, environment=ahead_by(seconds))
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.mark.timeout(600)
async def test_nothing_is_lost_doubled_or_refused_without_a_word_under_load(installation: Fleet, *, full: bool) -> None:
    async with load(installation.url, installation.key, clients=AT_ONCE) as book:
        if full:
            await asyncio.sleep(60)
        await book.grows(2 * AT_ONCE)

    assert await audit(installation.url, installation.key, book) == []
    assert book.broken == 0


@pytest.mark.timeout(3600)
async def test_every_acknowledged_write_is_there_once_and_told_of_after_kills_at_random(
    installation: Fleet, *, full: bool
) -> None:
    chance = random.Random(0)
    with receiving() as receiver:
        made = call(installation.servers[0], installation.key, "POST", "/webhooks", {"url": receiver.url})
        told = Told(receiver, made["key"])
        async with load(installation.url, installation.key, clients=16, gateway_may_fail=True) as book:
            for _ in range(100 if full else 2):
                await book.grows(chance.randint(1, 40))
                victim = chance.choice([*installation.servers, *installation.workers])
                await to_thread(victim.kill)
                await to_thread(victim.start)
                told.read()
        assert await audit(installation.url, installation.key, book) == []

        async def is_told() -> bool:
            told.read()
            return book.ids <= told.targets

        await eventually(is_told, seconds=300)
        assert [each for each in told.bodies.values() if len(each) > 1] == []
        call(installation.servers[0], installation.key, "DELETE", f"/webhooks/{made['webhook']['id']}")


class Told:
    """What a receiver was told, read as it comes: a signature is good for five minutes."""

    def __init__(self, receiver: Receiver, key: str) -> None:
        self._receiver, self._key = receiver, key
        self._read = 0
        self.bodies = dict[str, set[str]]()
        """What came under each id of a message."""
        self.targets = set[str]()
        """The ids of the memories that it was told of."""

    def read(self) -> None:
        """Read what has come since the last time."""
        came = self._receiver.taken[self._read :]
        self._read += len(came)
        for taken in came:
            data = taken.verified(self._key)["data"]
            self.bodies.setdefault(taken.message_id, set()).add(str(data))
            self.targets.update(data["targets"])
