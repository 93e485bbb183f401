"""What every shared state does, wherever it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random
from uuid import uuid4

import pytest

from agentmem.errors import Closed, ConfigurationError, StateUnavailable
from agentmem.foundation.state.fallback import FallbackState
from agentmem.foundation.state.memory import MemoryState
from agentmem.foundation.state.port import Quota, State
from agentmem.foundation.state.redis import RedisState
from tests.support.patience import PATIENCE, eventually
from tests.support.redis_server import RedisServer
from tests.support.redis_topologies import Topologies
from tests.support.states import ANSWERING, NOWHERE, Open, closed_at_the_end, redis_at


@pytest.fixture
async def shared(server: RedisServer) -> AsyncIterator[RedisState]:
    state = RedisState(server.url, timeout=PATIENCE)
    yield state
    await state.aclose()


def quota(limit: int, *, window: float = 3600.0, name: str = "key", subject: str | None = None) -> Quota:
    return Quota(name=name, subject=subject or uuid4().hex, limit=limit, window=window)


def tag() -> str:
    return str(uuid4())


async def test_a_quota_admits_its_limit_at_once_and_not_one_more(state: State) -> None:
    organization, quotas = tag(), [quota(5)]

    admissions = [await state.take(organization, quotas, 1) for _ in range(6)]

    assert [admission.allowed for admission in admissions] == [True] * 5 + [False]
    assert [admission.levels[0].remaining for admission in admissions] == [4, 3, 2, 1, 0, 0]


@pytest.mark.parametrize("limit", [1, 7, 59_999])
async def test_the_whole_limit_can_be_taken_though_it_does_not_divide_the_window(state: State, limit: int) -> None:
    organization, quotas = tag(), [quota(limit, window=10_000_000)]

    assert (await state.take(organization, quotas, limit)).allowed
    assert not (await state.take(organization, quotas, 1)).allowed


async def test_a_refused_request_is_told_how_long_to_wait(state: State) -> None:
    organization, quotas = tag(), [quota(60)]
    await state.take(organization, quotas, 60)

    (level,) = (await state.take(organization, quotas, 2)).levels

    assert 60 < level.retry_after <= 120
    assert 3540 < level.reset_after <= 3600


async def test_a_refused_request_charges_none_of_its_quotas(state: State) -> None:
    organization, narrow, wide = tag(), quota(1), quota(10, name="organization")
    await state.take(organization, [narrow, wide], 1)

    refused = await state.take(organization, [wide, narrow], 1)
    alone = await state.take(organization, [wide], 1)

    assert not refused.allowed
    assert [level.retry_after > 0 for level in refused.levels] == [False, True]
    assert refused.levels[0].remaining == 9
    assert alone.levels[0].remaining == 8


async def test_a_quota_comes_back_evenly(state: State) -> None:
    organization, quotas = tag(), [quota(10, window=1.0)]
    await state.take(organization, quotas, 10)

    async def admits() -> bool:
        return (await state.take(organization, quotas, 5)).allowed

    await eventually(admits)


async def test_subjects_tags_and_names_are_counted_apart(state: State) -> None:
    organization, one = tag(), quota(1)
    await state.take(organization, [one], 1)

    assert (await state.take(organization, [quota(1)], 1)).allowed
    assert (await state.take(tag(), [one], 1)).allowed
    assert (await state.take(organization, [quota(1, name="ip", subject=one.subject)], 1)).allowed


async def test_a_cost_of_nothing_asks_without_charging(state: State) -> None:
    organization, quotas = tag(), [quota(1)]

    assert (await state.take(organization, quotas, 0)).allowed
    assert (await state.take(organization, quotas, 0)).levels[0].remaining == 1
    await state.take(organization, quotas, 1)
    assert not (await state.take(organization, quotas, 0)).allowed


async def test_a_cost_above_the_limit_takes_all_of_it(state: State) -> None:
    organization, quotas = tag(), [quota(3)]

    assert (await state.take(organization, quotas, 100)).allowed
    assert not (await state.take(organization, quotas, 1)).allowed


async def test_a_request_without_quotas_is_admitted(state: State) -> None:
    assert (await state.take(tag(), [], 1)).allowed


async def test_a_lowered_limit_locks_nobody_out_for_longer_than_its_window(state: State) -> None:
    organization, before = tag(), quota(1000)
    await state.take(organization, [before], 1000)

    (level,) = (await state.take(organization, [quota(10, window=60, subject=before.subject)], 1)).levels

    assert 0 < level.retry_after <= 6


async def test_requests_at_once_take_no_more_than_the_limit(state: State) -> None:
    organization, quotas = tag(), [quota(20), quota(30, name="organization")]

    admissions = await asyncio.gather(*(state.take(organization, quotas, 1) for _ in range(64)))

    assert sum(admission.allowed for admission in admissions) == 20


async def test_a_value_is_kept_for_its_organization_alone(state: State) -> None:
    mine, theirs = tag(), tag()
    value = bytes(range(256))

    await state.put(mine, "query:1", value, seconds=60)

    assert await state.get(mine, "query:1") == value
    assert await state.get(theirs, "query:1") is None
    assert await state.get(mine, "query:2") is None


async def test_a_value_is_replaced_and_ends_with_its_time(state: State) -> None:
    organization = tag()
    await state.put(organization, "key", b"old", seconds=60)

    await state.put(organization, "key", b"new", seconds=0.05)

    assert await state.get(organization, "key") in {b"new", None}

    async def is_gone() -> bool:
        return await state.get(organization, "key") is None

    await eventually(is_gone)


async def test_a_value_that_is_taken_out_is_there_for_one_of_those_who_ask_at_once(state: State) -> None:
    organization = tag()
    await state.put(organization, "challenge", b"value", seconds=60)

    taken = await asyncio.gather(*(state.pop(organization, "challenge") for _ in range(16)))

    assert [value for value in taken if value is not None] == [b"value"]
    assert await state.get(organization, "challenge") is None
    assert await state.pop(tag(), "challenge") is None


async def test_a_message_reaches_all_listeners_of_its_channel(state: State) -> None:
    channel = uuid4().hex
    async with state.subscribe(channel) as one, state.subscribe(channel) as two, state.subscribe("else") as other:
        await state.publish(channel, "first")
        await state.publish("else", "elsewhere")
        await state.publish(channel, "zweite: ü")

        async with asyncio.timeout(PATIENCE):
            assert [await anext(one), await anext(one)] == ["first", "zweite: ü"]
            assert await anext(two) == "first"
            assert await anext(other) == "elsewhere"


async def test_messages_end_when_the_state_is_closed(state: State) -> None:
    async with state.subscribe("channel") as messages:
        await state.aclose()

        async with asyncio.timeout(PATIENCE):
            assert [message async for message in messages] == []


async def test_a_closed_state_says_so(state: State) -> None:
    await state.aclose()
    await state.aclose()

    with pytest.raises(Closed):
        await state.take(tag(), [quota(1)], 1)
    with pytest.raises(Closed):
        await state.ping()


async def test_all_quotas_of_a_request_take_one_script_call(shared: RedisState, server: RedisServer) -> None:
    quotas = [quota(100, name=name) for name in ("ip", "key", "organization", "user")]
    await shared.take(tag(), quotas, 1)  # the first call of all loads the script
    scripts, organization = server.calls("evalsha"), tag()

    for _ in range(10):
        await shared.take(organization, quotas, 1)

    assert server.calls("evalsha") - scripts == 10


async def test_two_processes_share_a_quota_in_redis(shared: RedisState, server: RedisServer) -> None:
    organization, quotas = tag(), [quota(2)]
    async with redis_at(server.url) as another:
        await shared.take(organization, quotas, 1)
        await another.take(organization, quotas, 1)

        assert not (await shared.take(organization, quotas, 1)).allowed


async def test_counts_in_redis_end_by_themselves(shared: RedisState, server: RedisServer) -> None:
    organization = tag()
    await shared.take(organization, [quota(10, window=60)], 5)

    with server.client() as client:
        (key,) = client.scan_iter(match=f"agentmem:{{{organization}}}:*")
        assert 0 < client.pttl(key) <= 30_000


async def test_without_redis_its_state_says_so() -> None:
    async with closed_at_the_end(RedisState(NOWHERE)) as state:
        with pytest.raises(StateUnavailable):
            await state.ping()
        with pytest.raises(StateUnavailable):
            await state.take(tag(), [quota(1)], 1)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:6379",
        "127.0.0.1:6379",
        "redis+nothing://127.0.0.1:6379",
        "redis+sentinel://127.0.0.1:26379",
        "redis+sentinel://secret@127.0.0.1:26379/mymaster/first",
        "redis+sentinel:///mymaster",
        "redis+cluster://user:secret@127.0.0.1:port",
        "redis+cluster://",
    ],
)
def test_a_malformed_url_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(ConfigurationError, match="redis://") as caught:
        RedisState(url)
    assert "secret" not in str(caught.value)


async def test_the_least_recently_used_count_and_value_go_first_in_memory() -> None:
    state = MemoryState(capacity=2, values=2)
    quotas = [quota(1) for _ in range(3)]
    for number, one in enumerate(quotas):
        await state.take("tag", [one], 1)
        await state.put("tag", str(number), b"value", seconds=60)

    assert [(await state.take("tag", [one], 0)).allowed for one in quotas] == [True, False, False]
    assert [await state.get("tag", str(number)) for number in range(3)] == [None, b"value", b"value"]


async def test_a_reader_who_does_not_keep_up_is_told_of_a_gap() -> None:
    state = MemoryState()
    async with state.subscribe("channel") as messages:
        for number in range(1025):
            await state.publish("channel", str(number))

        assert [await anext(messages), await anext(messages)] == ["", "1024"]


@pytest.mark.parametrize("seed", range(5))
async def test_redis_and_memory_answer_any_sequence_of_requests_alike(shared: RedisState, seed: int) -> None:
    chance = Random(seed)
    twin, organization = MemoryState(clock=lambda: 1000.0), tag()
    # A window so long that nothing comes back while the test runs.
    quotas = [quota(chance.randint(1, 60), window=10_000_000, name=name) for name in ("ip", "key", "organization")]

    for _ in range(60):
        chosen, cost = chance.sample(quotas, chance.randint(1, 3)), chance.randint(0, 4)
        in_redis, in_twin = await shared.take(organization, chosen, cost), await twin.take(organization, chosen, cost)

        assert in_redis.allowed == in_twin.allowed
        assert [level.remaining for level in in_redis.levels] == [level.remaining for level in in_twin.levels]
        assert [level.retry_after > 0 for level in in_redis.levels] == [
            level.retry_after > 0 for level in in_twin.levels
        ]


@pytest.mark.parametrize("opened", ANSWERING)
async def test_of_many_who_keep_a_value_once_one_is_the_first(opened: Open, servers: Topologies) -> None:
    organization, key = tag(), uuid4().hex
    async with opened(servers) as state:
        kept = await asyncio.gather(
            *(state.once(organization, key, str(number).encode(), seconds=60) for number in range(20))
        )
        (first,) = (number for number, found in enumerate(kept) if found is None)

        assert [found for found in kept if found is not None] == [str(first).encode()] * 19
        assert await state.once(tag(), key, b"another", seconds=60) is None
        assert await state.get(organization, key) is None


@pytest.mark.parametrize("opened", ANSWERING)
async def test_value_that_is_kept_once_ends_with_its_time(opened: Open, servers: Topologies) -> None:
    organization, key = tag(), uuid4().hex
    async with opened(servers) as state:
        assert await state.once(organization, key, b"first", seconds=0.2) is None

        async def is_free() -> bool:
            return await state.once(organization, key, b"second", seconds=60) is None

        await eventually(is_free)


async def test_value_is_not_kept_once_by_a_state_that_nobody_answers_for() -> None:
    async with closed_at_the_end(FallbackState(RedisState(NOWHERE), MemoryState())) as alone:
        with pytest.raises(StateUnavailable):
            await alone.once(tag(), "nonce", b"first", seconds=60)


async def test_full_state_of_a_process_refuses_rather_than_forget() -> None:
    now = 0.0
    async with closed_at_the_end(MemoryState(capacity=2, clock=lambda: now)) as small:
        organization = tag()
        assert [await small.once(organization, key, b"1", seconds=60) for key in "ab"] == [None, None]
        with pytest.raises(StateUnavailable):
            await small.once(organization, "c", b"1", seconds=60)
        assert await small.once(organization, "a", b"2", seconds=60) == b"1"
        now = 61.0
        assert await small.once(organization, "c", b"1", seconds=60) is None
