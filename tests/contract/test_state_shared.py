"""What processes share through each kind of Redis, and the locks of every state."""

from __future__ import annotations

import asyncio
from urllib.parse import quote
from uuid import uuid4

import pytest

from agentmem.errors import StateUnavailable
from agentmem.foundation.state.port import Quota, State
from tests.support.patience import PATIENCE, eventually
from tests.support.redis_topologies import PASSWORD, Topologies
from tests.support.states import SHARED, Open, redis_at


def tag() -> str:
    return str(uuid4())


@pytest.mark.parametrize("opened", SHARED)
async def test_what_one_process_puts_counts_and_says_another_finds(opened: Open, servers: Topologies) -> None:
    organization, quotas, channel = tag(), [Quota(name="key", subject="one", limit=2, window=3600)], uuid4().hex
    async with opened(servers) as one, opened(servers) as other, other.subscribe(channel) as messages:
        await one.put(organization, "query:1", b"value", seconds=60)
        await one.take(organization, quotas, 1)
        await one.publish(channel, "message")

        assert await other.get(organization, "query:1") == b"value"
        assert (await other.take(organization, quotas, 1)).levels[0].remaining == 0
        async with asyncio.timeout(PATIENCE):
            assert await anext(messages) == "message"


@pytest.mark.parametrize("wrong", ["wrong", ""])
async def test_a_wrong_password_says_that_redis_does_not_answer_and_not_the_password(
    servers: Topologies, wrong: str
) -> None:
    url = servers.encrypted.replace(quote(PASSWORD, safe=""), wrong)
    async with redis_at(url) as state:
        with pytest.raises(StateUnavailable) as caught:
            await state.put(tag(), "key", b"value", seconds=1)
    assert PASSWORD not in str(caught.value)


async def test_a_certificate_of_an_unknown_authority_is_refused(servers: Topologies) -> None:
    async with redis_at(servers.encrypted.partition("?")[0]) as state:
        with pytest.raises(StateUnavailable):
            await state.ping()


async def test_a_lock_is_given_to_one_token_and_extended_for_it_alone(state: State) -> None:
    organization = tag()

    assert await state.lock(organization, "work", "mine", seconds=60)
    assert await state.lock(organization, "work", "mine", seconds=60)
    assert not await state.lock(organization, "work", "yours", seconds=60)
    assert await state.lock(tag(), "work", "yours", seconds=60)
    assert await state.lock(organization, "other work", "yours", seconds=60)


async def test_a_lock_is_released_by_its_token_alone(state: State) -> None:
    organization = tag()
    await state.lock(organization, "work", "mine", seconds=60)

    assert not await state.unlock(organization, "work", "yours")
    assert not await state.lock(organization, "work", "yours", seconds=60)
    assert await state.unlock(organization, "work", "mine")
    assert not await state.unlock(organization, "work", "mine")
    assert await state.lock(organization, "work", "yours", seconds=60)


async def test_a_lock_ends_with_its_time(state: State) -> None:
    organization = tag()
    await state.lock(organization, "work", "mine", seconds=0.05)

    async def is_free() -> bool:
        return await state.lock(organization, "work", "yours", seconds=60)

    await eventually(is_free)
    assert not await state.lock(organization, "work", "mine", seconds=60)


async def test_of_many_who_want_a_lock_at_once_one_gets_it(state: State) -> None:
    organization = tag()

    taken = await asyncio.gather(*(state.lock(organization, "work", str(number), seconds=60) for number in range(32)))

    assert sum(taken) == 1
