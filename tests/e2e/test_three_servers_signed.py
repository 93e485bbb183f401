"""Three servers on one store and one Redis: a signed request is taken by one of them, a denied address by none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentmem import Client
from agentmem.errors import InvalidSignature
from tests.support.command_line import CommandLine
from tests.support.embedded_server import store_folder, wait_until
from tests.support.patience import eventually
from tests.support.redis_server import redis_server
from tests.support.servers import ServerProcess, servers
from tests.support.signers import signed_post
from tests.support.traffic import bearer

PUBLIC = "https://memory.example"
BODY = json.dumps({"content": "Ada likes green tea"}).encode()


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with store_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def three(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    with (
        redis_server(tmp_path_factory.mktemp("redis")) as redis,
        servers(directory, 3, redis_url=redis.url, public_url=PUBLIC, drain_seconds="0") as running,
    ):
        yield running


@pytest.fixture(scope="module")
def key(three: list[ServerProcess]) -> str:
    return three[0].key


def ask(
    server: ServerProcess, key: str, method: str, path: str, body: Mapping[str, str] | None = None
) -> httpx.Response:
    return httpx.request(method, f"{server.url}{path}", headers=bearer(key), json=body, timeout=30)


async def test_signed_request_that_is_sent_to_all_servers_at_once_is_taken_by_one(
    three: list[ServerProcess], key: str
) -> None:
    path = f"/v1/api-keys/{key.split('_')[2]}/signing-keys"
    signing_key = str(ask(three[0], key, "POST", path, {"name": "a test"}).json()["key"])

    async def sent(server: ServerProcess, request: httpx.Request) -> int:
        target = request.url.copy_with(scheme="http", host="127.0.0.1", port=server.port)
        async with httpx.AsyncClient(timeout=30) as http:
            copy = httpx.Request(request.method, target, headers=request.headers, content=BODY)
            return (await http.send(copy)).status_code

    await asyncio.sleep(1.1)  # nothing signed in the second in which the state began is taken
    for _ in range(3):
        request = signed_post(PUBLIC, "/v1/memories", BODY, key, signing_key)
        answers = await asyncio.gather(*(sent(server, request) for server in three for _ in range(4)))
        assert sorted(answers) == [201, *[401] * 11]
    listed = ask(three[2], key, "GET", "/v1/memories").json()["items"]
    assert len(listed) == 1  # the three texts are one memory


@dataclass(frozen=True)
class AtOurServer(httpx.BaseTransport):
    """Carries what is sent to the public address to a server of this machine, as a balancer does."""

    server: ServerProcess
    http: httpx.HTTPTransport = field(default_factory=httpx.HTTPTransport)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self.server.port)
        return self.http.handle_request(request)

    def close(self) -> None:
        self.http.close()


def _refuses(memory: Client) -> bool:
    try:
        memory.stats()
    except InvalidSignature:
        return True
    return False


def test_client_of_threads_signs_what_it_sends(three: list[ServerProcess], key: str) -> None:
    key_id = key.split("_")[2]
    made = ask(three[0], key, "POST", f"/v1/api-keys/{key_id}/signing-keys", {"name": "threads"}).json()
    terms: dict[str, Any] = {"base_url": PUBLIC, "transport": AtOurServer(three[1]), "signing_key": made["key"]}
    with Client(key, **terms) as memory:
        added = memory.add("Bob likes black tea")
        assert memory.get(added.memories[0].id).content == "Bob likes black tea"
        memory.keys.revoke_signing_key(key_id, made["request_key"]["id"])
        wait_until(lambda: _refuses(memory))  # every server knows within a second
    with Client(key, **(terms | {"signing_key": None, "transport": AtOurServer(three[2])})) as memory:
        memory.delete(added.memories[0].id)


async def test_denied_address_is_refused_by_every_server_until_the_command_line_takes_it_back(
    three: list[ServerProcess], key: str, directory: Path
) -> None:
    agentmem = CommandLine(directory=directory)

    async def statuses() -> set[int]:
        async with httpx.AsyncClient(timeout=30) as http:
            return {(await http.get(f"{server.url}/v1/me", headers=bearer(key))).status_code for server in three}

    async def all_refuse() -> bool:
        return await statuses() == {403}

    async def all_take() -> bool:
        return await statuses() == {200}

    assert await all_take()
    denied = agentmem.json("networks", "deny", "127.0.0.0/8", "--reason", "a test", "--installation")
    assert isinstance(denied, dict)
    await eventually(all_refuse)
    assert ask(three[0], key, "GET", "/health/ready").status_code == 200
    agentmem.run("networks", "remove", str(denied["id"]), "--installation")
    await eventually(all_take)
