"""What an operator grants an organization over REST, what its keys are refused then; and changes that lost a race."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from uuid import uuid4

import httpx
import pytest

from agentmem import AsyncMemory
from tests.support.patience import eventually
from tests.support.served import client, operator_key


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """An organization that an operator made over REST, with a client of its owner's and one of the operator's."""

    operator: httpx.AsyncClient
    owner: httpx.AsyncClient
    path: str

    async def limit(self, **limits: int) -> None:
        """Set limits, and wait until the owner's key is held to them."""
        changed = await self.operator.patch(self.path, json=limits)
        assert changed.status_code == 200, changed.text

        async def is_known() -> bool:
            granted = (await self.owner.get("/v1/me")).json().get("limits", {})
            return all(granted.get(name) == value for name, value in limits.items())

        await eventually(is_known)

    async def add(self, content: str) -> httpx.Response:
        """Add a text as the owner."""
        return await self.owner.post("/v1/memories", json={"content": content, "user_id": "ada"})


@pytest.fixture
async def tenant(memory: AsyncMemory) -> AsyncIterator[Tenant]:
    """A new organization."""
    async with AsyncExitStack() as stack:
        operator = await stack.enter_async_context(client(memory.app, await operator_key(memory.app)))
        made = await operator.post("/v1/platform/organizations", json={"name": f"acme {uuid4().hex}"})
        owner = await stack.enter_async_context(client(memory.app, made.json()["key"]))
        yield Tenant(operator=operator, owner=owner, path=made.headers["Location"])


async def test_key_may_store_as_many_memories_as_the_operator_grants(tenant: Tenant) -> None:
    await tenant.limit(memories=2)
    kept = [await tenant.add(text) for text in ("one", "two")]
    refused = await tenant.add("three")

    assert [answer.status_code for answer in kept] == [201, 201]
    assert (refused.status_code, refused.json()["code"]) == (403, "quota_exceeded")
    assert "2 of 2 memories" in refused.json()["detail"]
    assert (await tenant.owner.get("/v1/usage")).json()["storage"]["memories"] == 2
    await tenant.limit(memories=3)
    assert (await tenant.add("three")).status_code == 201


async def test_key_may_store_as_many_bytes_as_the_operator_grants(tenant: Tenant) -> None:
    await tenant.limit(storage_bytes=1500)
    kept, refused = await tenant.add("x" * 500), await tenant.add("y" * 5000)
    lines = {"Content-Type": "application/x-ndjson"}
    imported = await tenant.owner.post("/v1/memories/import", content=b'"' + b"z" * 5000 + b'"\n', headers=lines)

    assert kept.status_code == 201
    for answer in (refused, imported):
        assert (answer.status_code, answer.json()["code"]) == (403, "quota_exceeded")
        assert "of 1500 bytes" in answer.json()["detail"]
    assert (await tenant.owner.get("/v1/usage")).json()["storage"]["memories"] == 1


async def test_keys_of_an_organization_may_ask_as_often_as_the_operator_grants(tenant: Tenant) -> None:
    await tenant.limit(requests_per_minute=3)
    second = (await tenant.owner.get("/v1/me")).json()
    answers = [await tenant.owner.get("/v1/me") for _ in range(4)]
    refused = answers[-1]

    assert second["limits"]["requests_per_minute"] == 3
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert '"organization";q=3;w=60' in refused.headers["RateLimit-Policy"]
    assert refused.headers["RateLimit"].startswith('"organization";r=0;')
    assert int(refused.headers["Retry-After"]) >= 1
    assert (await tenant.operator.get(tenant.path)).status_code == 200  # another organization's limit is another


async def test_key_of_a_suspended_organization_is_refused_until_it_is_resumed(tenant: Tenant) -> None:
    memory_id = (await tenant.add("kept meanwhile")).json()["memories"][0]["id"]
    assert (await tenant.operator.post(f"{tenant.path}/suspend", json={"reason": "unpaid"})).status_code == 200

    async def answers(status: int) -> bool:
        return (await tenant.owner.get("/v1/me")).status_code == status

    await eventually(lambda: answers(403))
    for answer in (await tenant.add("not kept"), await tenant.owner.get(f"/v1/memories/{memory_id}")):
        assert (answer.status_code, answer.json()["code"]) == (403, "organization_suspended")
    assert (await tenant.operator.post(f"{tenant.path}/resume")).status_code == 200
    await eventually(lambda: answers(200))
    listed = (await tenant.owner.get("/v1/memories")).json()["items"]
    assert [item["id"] for item in listed] == [memory_id]


async def test_change_that_lost_a_race_is_refused_for_members_keys_and_limits_too(tenant: Tenant) -> None:
    member = await tenant.owner.post("/v1/members", json={"name": "bot", "role": "service"})
    key = await tenant.owner.post("/v1/api-keys", json={"name": "bot"})
    changes = (
        (tenant.owner, member.headers["Location"], {"name": "first"}, {"name": "second"}),
        (tenant.owner, key.headers["Location"], {"name": "first"}, {"name": "second"}),
        (tenant.operator, tenant.path, {"memories": 5}, {"memories": 7}),
    )
    for api, path, first, second in changes:
        seen = {"If-Match": (await api.get(path)).headers["ETag"]}
        won = await api.patch(path, json=first, headers=seen)
        lost = await api.patch(path, json=second, headers=seen)

        assert won.status_code == 200, won.text
        assert won.headers["ETag"] != seen["If-Match"]
        assert (lost.status_code, lost.json()["code"]) == (412, "version_conflict"), path
        assert (await api.get(path)).json() == won.json()
    stale = {"If-Match": member.headers["ETag"]}
    assert (await tenant.owner.delete(member.headers["Location"], headers=stale)).status_code == 412
    assert (await tenant.owner.get(member.headers["Location"])).json()["disabled_at"] is None
