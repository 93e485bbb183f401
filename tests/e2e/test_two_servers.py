"""Two servers on one store and one Redis, behind a balancer."""

from __future__ import annotations

import json
from asyncio import to_thread
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.balancer import balancer
from tests.support.command_line import CommandLine
from tests.support.embedded_server import store_folder
from tests.support.patience import eventually
from tests.support.redis_server import RedisServer, redis_server
from tests.support.servers import ServerProcess, servers
from tests.support.traffic import bearer, traffic


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with store_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module")
def pair(directory: Path, redis: RedisServer) -> Iterator[list[ServerProcess]]:
    with servers(directory, 2, redis_url=redis.url, drain_seconds="3") as running:
        yield running


@pytest.fixture(scope="module")
def key(pair: list[ServerProcess]) -> str:
    return pair[0].key


@pytest.fixture
def url(pair: list[ServerProcess], tmp_path: Path) -> Iterator[str]:
    with balancer(tmp_path, [server.port for server in pair]) as running:
        yield running


def post(server: ServerProcess, key: str, path: str, body: Mapping[str, object]) -> Any:
    """Send a request that must succeed, and give its answer."""
    answer = httpx.post(f"{server.url}/v1{path}", headers=bearer(key), json=body, timeout=30)
    assert answer.is_success, answer.text
    return answer.json()


def new_key(server: ServerProcess, key: str, **wishes: object) -> Any:
    """Make a key through a server."""
    return post(server, key, "/api-keys", {"name": "test", **wishes})


def revoke(server: ServerProcess, key: str, key_id: str) -> None:
    """Revoke a key through a server."""
    answer = httpx.delete(f"{server.url}/v1/api-keys/{key_id}", headers=bearer(key), timeout=30)
    assert answer.is_success, answer.text


def me(server: ServerProcess, key: str) -> httpx.Response:
    return httpx.get(f"{server.url}/v1/me", headers=bearer(key), timeout=30)


def state_of(server: ServerProcess) -> str:
    """Say how a server finds its shared state."""
    health = httpx.get(f"{server.url}/health/ready", timeout=30).json()
    parts = {part["name"]: part["status"] for part in health["parts"]}
    return f"{parts['state']}, breaker {health['breakers']['redis']}"


async def test_a_key_that_one_server_revokes_is_refused_by_the_other_within_a_second(
    pair: list[ServerProcess], key: str
) -> None:
    one, other = pair
    made = new_key(one, key)
    assert [me(server, made["key"]).status_code for server in pair] == [200, 200]

    revoke(one, key, made["api_key"]["id"])

    async def is_refused() -> bool:
        return me(other, made["key"]).status_code == 401

    await eventually(is_refused, seconds=1)
    assert me(one, made["key"]).status_code == 401


def test_what_one_server_stores_the_other_finds(pair: list[ServerProcess], key: str) -> None:
    one, other = pair
    post(one, key, "/memories", {"content": "The spare key hangs behind the clock.", "user_id": "both"})

    question = {"query": "where is the spare key?", "scope": {"user_id": "both"}}
    found = post(other, key, "/memories/search", question)

    assert found["hits"][0]["memory"]["content"] == "The spare key hangs behind the clock."


def test_redis_holds_neither_what_was_stored_nor_what_was_asked_nor_a_key(
    pair: list[ServerProcess], key: str, redis: RedisServer
) -> None:
    for server in pair:
        body = {
            "content": "The canary-5d1c sings.",
            "user_id": "canary-5d1c",
            "metadata": {"canary-5d1c": "canary-5d1c"},
        }
        post(server, key, "/memories", body)
        post(server, key, "/memories/search", {"query": "canary-5d1c?", "scope": {"user_id": "canary-5d1c"}})

    with redis.client() as client:
        names = list(client.scan_iter())
        values = [client.get(name) or b"" for name in names]
    held = b"\n".join(value if isinstance(value, bytes) else value.encode() for value in (*names, *values))
    assert b":query:" in held
    assert b"canary" not in held
    assert key.encode() not in held
    assert key.split("_")[3].encode() not in held


@pytest.fixture(scope="module")
def operator(directory: Path, pair: list[ServerProcess]) -> str:
    """A key of who operates both servers, made beside them."""
    line = CommandLine(directory=directory)
    made: Any = line.json("keys", "create", "operations", "--operator")
    return str(made["key"])


async def test_limits_and_rules_that_one_server_sets_are_in_force_at_the_other_within_a_second(
    pair: list[ServerProcess], key: str, operator: str
) -> None:
    one, other = pair
    organization = me(one, key).json()["organization_id"]
    memory_id = post(one, key, "/memories", {"content": "The tide turns at noon."})["memories"][0]["id"]

    def change(path: str, key: str, body: Mapping[str, object]) -> None:
        version = httpx.get(f"{one.url}/v1{path}", headers=bearer(key), timeout=30).headers["etag"]
        headers = {**bearer(key), "If-Match": version}
        answer = httpx.patch(f"{one.url}/v1{path}", headers=headers, json=body, timeout=30)
        assert answer.is_success, answer.text

    def pinned() -> int:
        path = f"{other.url}/v1/memories/{memory_id}"
        return httpx.patch(path, headers=bearer(key), json={"importance": 0.7}, timeout=30).status_code

    async def is_limited() -> bool:
        return bool(me(other, key).json()["limits"]["requests_per_minute"] == 5000)

    async def demands_a_version() -> bool:
        return pinned() == 428

    async def demands_none() -> bool:
        return pinned() == 200

    assert pinned() == 200
    change(f"/platform/organizations/{organization}", operator, {"requests_per_minute": 5000})
    await eventually(is_limited, seconds=1)
    change("/organization", key, {"require_if_match": True})
    await eventually(demands_a_version, seconds=1)
    change("/organization", key, {"require_if_match": False})
    await eventually(demands_none, seconds=1)


async def test_organization_that_one_server_suspends_is_refused_by_the_other_within_a_second(
    pair: list[ServerProcess], key: str, operator: str
) -> None:
    one, other = pair
    path = f"/platform/organizations/{me(one, key).json()['organization_id']}"

    async def is_refused() -> bool:
        return bool(me(other, key).json().get("code") == "organization_suspended")

    async def is_served() -> bool:
        return me(other, key).status_code == 200

    assert await is_served()
    post(one, operator, f"{path}/suspend", {"reason": "a test"})
    try:
        await eventually(is_refused, seconds=1)
    finally:
        post(one, operator, f"{path}/resume", {})
    await eventually(is_served, seconds=1)


def test_servers_are_listed_while_they_are_there(pair: list[ServerProcess], operator: str) -> None:
    listed = httpx.get(f"{pair[0].url}/v1/admin/instances", headers=bearer(operator), timeout=30).json()["items"]

    assert {one["address"] for one in listed if one["alive"]} == {server.url for server in pair}
    assert {one["role"] for one in listed} == {"server"}


def test_two_servers_grant_a_rate_limit_once(pair: list[ServerProcess], key: str) -> None:
    made = new_key(pair[0], key, requests_per_minute=6)

    answers = [me(pair[number % 2], made["key"]) for number in range(8)]

    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) == 2
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    assert all('"key";r=0' in answer.headers["RateLimit"] for answer in refused)


def test_a_server_without_redis_refuses_to_join(directory: Path, pair: list[ServerProcess]) -> None:
    lonely = ServerProcess(directory, {})
    try:
        lonely.start(wait=False)

        assert lonely.ends() != 0
        assert "AGENTMEM_REDIS_URL" in lonely.said
        assert "Traceback" not in lonely.said
    finally:
        lonely.close()


async def test_no_request_fails_while_the_servers_are_restarted_one_after_the_other(
    pair: list[ServerProcess], key: str, url: str, *, full: bool
) -> None:
    async with traffic(url, key) as seen:
        await seen.flows()
        for server in pair * (3 if full else 1):
            assert await to_thread(server.stop) == 0
            await seen.flows()
            await to_thread(server.start)
            await seen.flows()

    assert seen.failures == []


async def test_no_request_fails_when_redis_hangs_dies_and_comes_back(
    pair: list[ServerProcess], key: str, url: str, redis: RedisServer
) -> None:
    async def is_degraded() -> bool:
        return state_of(pair[0]) in {"degraded, breaker open", "degraded, breaker half_open"}

    async def is_well() -> bool:
        return state_of(pair[0]) == "ok, breaker closed"

    async with traffic(url, key) as seen:
        await seen.flows()
        redis.freeze()
        await seen.flows()
        redis.thaw()
        await seen.flows()
        redis.kill()
        await seen.flows()
        await eventually(is_degraded)
        await to_thread(redis.start)
        await seen.flows()
        await eventually(is_well)

    assert seen.failures == []


async def test_a_revoked_key_is_refused_by_the_other_server_without_redis_too(
    pair: list[ServerProcess], key: str, redis: RedisServer
) -> None:
    one, other = pair
    made = new_key(one, key)
    assert me(other, made["key"]).status_code == 200
    redis.kill()
    try:
        revoke(one, key, made["api_key"]["id"])

        async def is_refused() -> bool:
            return me(other, made["key"]).status_code == 401

        await eventually(is_refused, seconds=1)
    finally:
        redis.start()


async def test_a_revoked_key_is_refused_by_the_other_server_after_redis_was_emptied(
    pair: list[ServerProcess], key: str, redis: RedisServer
) -> None:
    one, other = pair
    made = new_key(one, key)
    assert me(other, made["key"]).status_code == 200
    with redis.client() as client:
        client.flushall()

    revoke(one, key, made["api_key"]["id"])

    async def is_refused() -> bool:
        return me(other, made["key"]).status_code == 401

    await eventually(is_refused, seconds=1)


async def test_an_import_through_one_server_ends_when_the_other_revokes_its_key(
    pair: list[ServerProcess], key: str
) -> None:
    one, other = pair
    made = new_key(other, key)

    def stored() -> int:
        found = httpx.get(f"{one.url}/v1/stats", params={"user_id": "import"}, headers=bearer(key), timeout=30).json()
        return int(found["memories"])

    async def refused() -> bool:
        return (await to_thread(me, one, made["key"])).status_code == 401

    async def arrived() -> bool:
        return await to_thread(stored) > 0

    async def body() -> AsyncIterator[bytes]:
        for number in range(300):
            yield json.dumps({"content": f"memory {number}", "user_id": "import"}).encode() + b"\n"
        await eventually(arrived)
        await to_thread(revoke, other, key, made["api_key"]["id"])
        await eventually(refused, seconds=1)
        for number in range(300, 1200):
            yield json.dumps({"content": f"memory {number}", "user_id": "import"}).encode() + b"\n"

    headers = {**bearer(made["key"]), "Content-Type": "application/x-ndjson"}
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.post(f"{one.url}/v1/memories/import", content=body(), headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert stored() == 256


async def test_an_export_from_one_server_is_cut_when_the_other_revokes_its_key(
    pair: list[ServerProcess], key: str
) -> None:
    one, other = pair
    made = new_key(other, key)
    # More than the sockets between can hold: what is not read yet is not sent yet.
    long, versions = "A long story of the sea. " * 2000, 12
    added = [post(one, key, "/memories", {"content": f"{number}. {long}", "user_id": "export"}) for number in range(40)]
    for version in range(1, versions):
        changes = [{"id": each["memories"][0]["id"], "importance": version / versions} for each in added]
        post(one, key, "/memories/batch/update", {"changes": changes})

    async def refused() -> bool:
        return (await to_thread(me, one, made["key"])).status_code == 401

    async with (
        httpx.AsyncClient(timeout=60) as client,
        client.stream(
            "GET", f"{one.url}/v1/memories/export", params={"user_id": "export"}, headers=bearer(made["key"])
        ) as answer,
    ):
        parts = answer.aiter_bytes()
        assert await anext(parts)
        await to_thread(revoke, other, key, made["api_key"]["id"])
        await eventually(refused, seconds=1)
        with pytest.raises(httpx.RemoteProtocolError):
            assert [part async for part in parts] == []

    assert "Traceback" not in one.said
