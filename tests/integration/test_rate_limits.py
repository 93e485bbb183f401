"""Rate limits as a client of the API meets them: what the headers say, what is refused, and what is not counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest

from agentmem import AsyncMemory
from agentmem.foundation.state.memory import MemoryState
from agentmem.foundation.state.port import Quota, State
from agentmem.foundation.state.redis import RedisState
from agentmem.pipelines.admission.quotas import RateLimits
from tests.support.credentials import HandMovedClock, desk_of
from tests.support.patience import PATIENCE, eventually
from tests.support.redis_server import RedisServer, redis_server
from tests.support.served import client, key_of
from tests.support.stores import Store

COUNTED = "/v1/me"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


def limits(*, ip: int = 0, key: int = 0, organization: int = 0, failures: int = 0) -> RateLimits:
    return RateLimits(ip=ip, key=key, organization=organization, failures=failures)


@asynccontextmanager
async def limited(
    memory: AsyncMemory, limits: RateLimits, state: State, *, own: int | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of a server with these limits, with a key of an ``own`` limit or of none."""
    desk = desk_of(memory.app, state=state, limits=limits)
    app = replace(memory.app, admission=desk.admission, state=state)
    async with client(app, await key_of(memory, requests_per_minute=own)) as opened:
        yield opened
    await state.aclose()


async def test_the_last_request_of_a_limit_says_so_and_the_next_is_told_when_to_come(memory: AsyncMemory) -> None:
    clock = HandMovedClock()
    async with limited(memory, limits(ip=6, key=3, organization=9), MemoryState(clock=clock)) as api:
        answers = [await api.get(COUNTED) for _ in range(4)]
        clock.seconds += int(answers[3].headers["Retry-After"])
        later = await api.get(COUNTED)

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["RateLimit"] for answer in answers] == [
        '"key";r=2;t=20',
        '"key";r=1;t=40',
        '"key";r=0;t=60',
        '"key";r=0;t=60',
    ]
    policies = {answer.headers["RateLimit-Policy"] for answer in (*answers, later)}
    assert policies == {'"ip";q=6;w=60, "key";q=3;w=60, "organization";q=9;w=60'}
    assert [answer.headers.get("Retry-After") for answer in answers] == [None, None, None, "20"]
    assert answers[3].json()["code"] == "rate_limited"
    assert later.status_code == 200


async def test_redis_grants_a_limit_as_the_process_itself_does(memory: AsyncMemory, server: RedisServer) -> None:
    async with limited(memory, limits(key=3), RedisState(server.url, timeout=PATIENCE)) as api:
        answers = [await api.get(COUNTED) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[2].headers["RateLimit"].startswith('"key";r=0;')
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 20


async def test_a_request_takes_one_script_call_whatever_its_limits(memory: AsyncMemory, server: RedisServer) -> None:
    for ip, calls in ((0, 1), (100, 2)):  # that of its address comes before anybody knows whose key it is
        charged = limits(ip=ip, key=100, organization=100)
        async with limited(memory, charged, RedisState(server.url, timeout=PATIENCE)) as api:
            await api.get(COUNTED)
            before = server.calls("evalsha")
            for _ in range(5):
                assert (await api.get(COUNTED)).status_code == 200

        assert server.calls("evalsha") - before == 5 * calls


async def test_a_key_of_its_own_rate_is_held_to_it(memory: AsyncMemory) -> None:
    state = MemoryState(clock=HandMovedClock())
    async with limited(memory, limits(key=100), state, own=2) as api:
        answers = [await api.get(COUNTED) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["RateLimit-Policy"] == '"key";q=2;w=60'


async def test_a_search_costs_more_than_a_look(memory: AsyncMemory) -> None:
    async with limited(memory, limits(key=100), MemoryState(clock=HandMovedClock())) as api:
        await api.get(COUNTED)
        searched = await api.post("/v1/memories/search", json={"query": "tea", "scope": {"user_id": "alice"}})

    assert searched.status_code == 200
    assert searched.headers["RateLimit"].startswith('"key";r=97;')


async def test_many_memories_cost_more_than_one_and_pass_after_the_wait_that_is_told(memory: AsyncMemory) -> None:
    clock = HandMovedClock()
    hundred = {"memories": [{"content": "tea"}] * 100}
    async with limited(memory, limits(ip=1000, key=20), MemoryState(clock=clock)) as api:
        one = await api.post("/v1/memories", json={"content": "tea"})
        assert one.headers["RateLimit"] == '"key";r=18;t=6'
        first = await api.post("/v1/memories", json=hundred)
        assert (first.status_code, first.headers["RateLimit"]) == (201, '"key";r=7;t=39')
        refused = await api.post("/v1/memories", json=hundred)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "18")
        assert refused.headers["RateLimit-Policy"] == '"ip";q=1000;w=60, "key";q=20;w=60'
        clock.seconds += 18
        assert (await api.post("/v1/memories", json=hundred)).status_code == 201


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_batch_that_costs_more_than_a_limit_takes_all_of_it(memory: AsyncMemory, limit: int) -> None:
    state = MemoryState(clock=HandMovedClock())
    async with limited(memory, limits(key=limit), state) as api:
        added = await api.post("/v1/memories", json={"memories": [{"content": "tea"}] * 200})
        assert added.status_code == 201
        assert (await api.get(COUNTED)).status_code == 429


@pytest.mark.parametrize("action, field", [("update", "changes"), ("delete", "memories")])
async def test_batches_of_changes_are_charged_by_their_items(memory: AsyncMemory, action: str, field: str) -> None:
    texts = [f"tea number {number}" for number in range(21)]
    ids = [str(record.id) for record in (await memory.add(texts)).memories]
    change = {"pinned": True} if action == "update" else {}
    async with limited(memory, limits(key=100), MemoryState(clock=HandMovedClock())) as api:
        body = {field: [{"id": memory_id, **change} for memory_id in ids]}
        answer = await api.post(f"/v1/memories/batch/{action}", json=body)
    assert answer.status_code == 200
    assert answer.headers["RateLimit"].startswith('"key";r=93;')


async def test_import_is_charged_as_it_goes_and_waits_for_its_limit(memory: AsyncMemory) -> None:
    clock = HandMovedClock()
    state = MemoryState(clock=clock)
    desk = desk_of(memory.app, state=state, limits=limits(key=600))
    app = replace(memory.app, admission=desk.admission, state=state)
    lines = "\n".join(f'"tea number {number}"' for number in range(250)).encode()

    async def has_to_wait() -> bool:
        return desk.limited == ["key"]

    async with client(app, await key_of(memory)) as api:
        key_id = (await api.get(COUNTED)).json()["api_key_id"]
        await state.take(str(app.caller.organization_id), [Quota(name="key", subject=key_id, limit=600)], 570)
        headers = {"Content-Type": "application/x-ndjson"}
        importing = asyncio.create_task(api.post("/v1/memories/import", content=lines, headers=headers))
        await eventually(has_to_wait)
        assert not importing.done()
        clock.seconds += 60
        assert (await importing).json() == {"imported": 250, "skipped": 0}


async def test_health_is_not_counted(memory: AsyncMemory) -> None:
    async with limited(memory, limits(key=1, ip=1), MemoryState(clock=HandMovedClock())) as api:
        for path in ("/health/live", "/health/ready", "/health"):
            answer = await api.get(path)
            assert answer.status_code == 200
            assert "RateLimit" not in answer.headers
        counted = await api.get(COUNTED)

    assert counted.status_code == 200
    assert counted.headers["RateLimit"].endswith("r=0;t=60")


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/nowhere", 404),
        ("PUT", "/v1/memories", 405),
        ("GET", "/docs", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/v1/me", 401),
        ("POST", "/nowhere", 413),
    ],
)
async def test_whatever_an_address_asks_without_a_key_is_counted(
    memory: AsyncMemory, method: str, path: str, status: int
) -> None:
    async with limited(memory, limits(ip=2), MemoryState(clock=HandMovedClock())) as api:
        del api.headers["Authorization"]
        content = b"x" * 70_000 if status == 413 else b""
        answers = [await api.request(method, path, content=content) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [status, status, 429]
    assert answers[0].headers["RateLimit"] == '"ip";r=1;t=30'
    assert answers[2].json()["code"] == "rate_limited"
    assert answers[2].headers["Retry-After"] == "30"


async def test_keys_of_several_organizations_share_the_limit_of_their_address(store: Store) -> None:
    state = MemoryState(clock=HandMovedClock())
    one, other = await store.organization(), await store.organization()
    statuses = []
    for memory in (one, other, one, other):
        desk = desk_of(memory.app, state=state, limits=limits(ip=3))
        async with client(replace(memory.app, admission=desk.admission, state=state), await key_of(memory)) as api:
            statuses.append((await api.get(COUNTED)).status_code)

    assert statuses == [200, 200, 200, 429]


async def test_whoever_guesses_keys_is_refused_after_a_few(memory: AsyncMemory) -> None:
    state = MemoryState(clock=HandMovedClock())
    async with limited(memory, limits(failures=3), state) as api:
        wrong = [await api.get(COUNTED, headers={"Authorization": "Bearer amk_live_wrong"}) for _ in range(5)]
        right = await api.get(COUNTED)

    assert [answer.status_code for answer in wrong] == [401, 401, 401, 429, 429]
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in wrong[3:])
    assert right.status_code == 429  # this address is refused whatever key it shows, until the server knows the key


async def test_a_server_without_limits_says_nothing_of_them(memory: AsyncMemory) -> None:
    async with limited(memory, limits(), MemoryState()) as api:
        answer = await api.get(COUNTED)

    assert answer.status_code == 200
    assert not {"ratelimit", "ratelimit-policy", "retry-after"} & set(answer.headers)
