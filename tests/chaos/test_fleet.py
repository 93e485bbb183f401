"""A whole installation under load, while its parts are killed: nothing acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import asyncio
import random
import tempfile
from asyncio import to_thread
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fleet import Fleet, fleet
from tests.support.load import audit, load

AT_ONCE = 64


@pytest.fixture(scope="module")
def installation() -> Iterator[Fleet]:
    # Not pytest's own folder: nginx serves as a user that cannot look into it.
    with tempfile.TemporaryDirectory(prefix="agentmem-fleet-", ignore_cleanup_errors=True) as directory:
        folder = Path(directory)
        folder.chmod(0o755)
        with fleet(folder, size=3, workers=2) as running:
            yield running


@pytest.mark.timeout(600)
async def test_nothing_is_lost_doubled_or_refused_without_a_word_under_load(installation: Fleet, *, full: bool) -> None:
    async with load(installation.url, installation.key, clients=AT_ONCE) as book:
        await asyncio.sleep(60 if full else 10)

    assert await audit(installation.url, installation.key, book) == []
    assert book.broken == 0
    assert book.written > AT_ONCE


@pytest.mark.timeout(1800)
async def test_every_acknowledged_write_is_there_once_after_kills_at_random(installation: Fleet, *, full: bool) -> None:
    chance = random.Random(0)
    async with load(installation.url, installation.key, clients=16, gateway_may_fail=True) as book:
        for _ in range(100 if full else 6):
            await book.grows(chance.randint(1, 40))
            victim = chance.choice([*installation.servers, *installation.workers])
            await to_thread(victim.kill)
            await to_thread(victim.start)

    assert await audit(installation.url, installation.key, book) == []
