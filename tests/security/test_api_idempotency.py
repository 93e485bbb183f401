"""Idempotency-Key on every POST of the API: what is sent twice is done once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final
from uuid import uuid4

import httpx
import pytest

from agentmem import AsyncMemory
from agentmem.schemas.access import Role
from agentmem.schemas.memories import Scope
from tests.support.api_document import document_of
from tests.support.api_matrix import ApiOperation, operations_of
from tests.support.served import api, client, operator_key
from tests.support.stores import Owner, Store
from tests.support.walls import stored_of

Prepare = Callable[[httpx.AsyncClient], Awaitable[dict[str, str]]]


@pytest.fixture
async def owner_client(memory: AsyncMemory) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an empty organization, with its owner's key."""
    async with api(memory) as opened:
        yield opened


async def _nothing(_: httpx.AsyncClient) -> dict[str, str]:
    return {}


async def _deleted_memory(client: httpx.AsyncClient) -> dict[str, str]:
    added = await client.post("/v1/memories", json={"content": "Ada likes tea"})
    memory_id = added.json()["memories"][0]["id"]
    await client.delete(f"/v1/memories/{memory_id}")
    return {"memory_id": memory_id}


async def _memory(client: httpx.AsyncClient) -> dict[str, str]:
    added = await client.post("/v1/memories", json={"content": "Ada likes tea"})
    memory_id = added.json()["memories"][0]["id"]
    return {"id": memory_id, "memory_id": memory_id}


async def _distrusted_memory(client: httpx.AsyncClient) -> dict[str, str]:
    new = {"content": "Ada likes tea", "source": {"origin": "external"}}
    added = await client.post("/v1/memories", json=new)
    return {"memory_id": added.json()["memories"][0]["id"]}


async def _api_key(client: httpx.AsyncClient) -> dict[str, str]:
    created = await client.post("/v1/api-keys", json={"name": "one"})
    return {"key_id": created.json()["api_key"]["id"]}


async def _job(client: httpx.AsyncClient) -> dict[str, str]:
    asked = await client.post("/v1/maintenance/reembed", json={"model": "default", "background": True})
    return {"job_id": asked.json()["job_id"]}


async def _discarded_job(client: httpx.AsyncClient) -> dict[str, str]:
    ids = await _job(client)
    await client.post(f"/v1/jobs/{ids['job_id']}/discard")
    return ids


async def _webhook(client: httpx.AsyncClient) -> dict[str, str]:
    created = await client.post("/v1/webhooks", json={"url": "https://hooks.example/"})
    return {"webhook_id": created.json()["webhook"]["id"]}


async def _delivery(client: httpx.AsyncClient) -> dict[str, str]:
    ids = await _webhook(client)
    asked = await client.post(f"/v1/webhooks/{ids['webhook_id']}/test")
    return {**ids, "delivery_id": asked.json()["id"]}


async def _deleted_self(client: httpx.AsyncClient) -> dict[str, str]:
    await client.delete("/v1/organization")
    return {}


async def _organization(client: httpx.AsyncClient) -> dict[str, str]:
    created = await client.post("/v1/platform/organizations", json={"name": f"acme {uuid4().hex}"})
    return {"organization_id": created.json()["organization"]["id"]}


async def _suspended_organization(client: httpx.AsyncClient) -> dict[str, str]:
    ids = await _organization(client)
    await client.post(f"/v1/platform/organizations/{ids['organization_id']}/suspend", json={"reason": "unpaid"})
    return ids


async def _deleted_organization(client: httpx.AsyncClient) -> dict[str, str]:
    ids = await _organization(client)
    await client.delete(f"/v1/platform/organizations/{ids['organization_id']}")
    return ids


async def _another_name(_: httpx.AsyncClient) -> dict[str, str]:
    return {"name": f"acme {uuid4().hex}"}


PREPARED: dict[str, Prepare] = {
    "restore": _deleted_memory,
    "update_many": _memory,
    "delete_many": _memory,
    "rotate_api_key": _api_key,
    "create_request_key": _api_key,
    "promote": _distrusted_memory,
    "retry_job": _discarded_job,
    "discard_job": _job,
    "rotate_webhook_key": _webhook,
    "test_webhook": _webhook,
    "replay_delivery": _delivery,
    "restore_organization": _deleted_self,
    "create_organization": _another_name,
    "suspend_organization": _organization,
    "resume_organization": _suspended_organization,
    "revive_organization": _deleted_organization,
}
"""What an operation needs to be there, so that it succeeds; the others need nothing."""
REPORT: Final = "report_leak"
"""A POST without a key, and so without a caller whose repetition could be known: it does the same each time."""


def posts_of(store: Store) -> dict[str, ApiOperation]:
    """Give every POST of the server."""
    return {name: one for name, one in operations_of(document_of(store.app)).items() if one.method == "POST"}


async def test_every_post_answers_a_repeated_key_as_the_first_time(store: Store, owner: Owner) -> None:
    posts, operator = posts_of(store), await operator_key(store.app)
    assert {"add", "search", "import_", "create_api_key", "create_organization"} < set(posts)
    for name, post in sorted(posts.items()):
        # Without a caller there is nothing to know a repetition by; calls about people pass the same gate.
        if post.permission in {None, "account:use", "account:manage"}:
            continue
        if name == "destroy_master_key":  # every master key here wraps keys of the organizations of other tests
            continue
        assert "Idempotency-Key" in post.in_header, name
        memory = await store.organization()
        opened = client(memory.app, operator) if post.permission == "platform:manage" else api(memory)
        async with opened as caller:
            ids = await PREPARED.get(name, _nothing)(caller)
            headers = {"Idempotency-Key": f"{name}-{uuid4().hex}"}
            first = await post.send(caller, ids, headers=headers)
            after = stored_of(owner, memory.app.caller.organization_id)
            again = await post.send(caller, ids, headers=headers)

            assert first.is_success, (name, first.text)
            assert again.status_code == first.status_code, (name, again.text)
            assert again.headers.get("Idempotency-Replayed") == "true", (name, again.text)
            shown = {**first.json(), "key": None} if "key" in first.json() else first.json()
            assert again.json() == shown, name
            assert stored_of(owner, memory.app.caller.organization_id) == after, name


async def test_report_of_a_leak_does_the_same_however_often_it_is_sent(store: Store, memory: AsyncMemory) -> None:
    post = posts_of(store)[REPORT]
    async with api(memory) as owner, client(memory.app, None) as stranger:
        made = (await owner.post("/v1/api-keys", json={"name": "leaked"})).json()
        sent, seen = [], []
        for _ in range(2):
            sent.append(await post.send(stranger, {"key": made["key"]}, headers={"Idempotency-Key": "one"}))
            seen.append((await owner.get(f"/v1/api-keys/{made['api_key']['id']}")).json())

    assert [(answer.status_code, answer.json()) for answer in sent] == [(202, {"accepted": True})] * 2
    assert seen[0]["revoked_at"] is not None
    assert seen[1] == seen[0]


async def test_key_of_an_add_is_a_new_one_once_its_answer_is_no_longer_kept(memory: AsyncMemory, owner: Owner) -> None:
    headers = {"Idempotency-Key": "one"}
    async with api(memory) as client:
        await client.post("/v1/memories", json={"content": "Ada likes tea"}, headers=headers)
        for table in ("idempotent_requests", "idempotency_keys"):
            owner.execute(
                f"UPDATE agentmem.{table} SET created_at = now() - interval '25 hours' WHERE organization_id = %s",
                [memory.app.caller.organization_id],
            )
        later = await client.post("/v1/memories", json={"content": "Ada likes coffee"}, headers=headers)
        again = await client.post("/v1/memories", json={"content": "Ada likes coffee"}, headers=headers)
    assert (later.status_code, again.headers.get("Idempotency-Replayed")) == (201, "true"), later.text


async def test_key_with_another_body_is_refused_and_nothing_is_stored(owner_client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "one"}
    await owner_client.post("/v1/memories", json={"content": "Ada likes tea"}, headers=headers)
    other = await owner_client.post("/v1/memories", json={"content": "Ada likes coffee"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")
    elsewhere = await owner_client.post("/v1/members", json={"name": "bot"}, headers=headers)
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (422, "idempotency_conflict")
    assert len((await owner_client.get("/v1/memories")).json()["items"]) == 1
    assert len((await owner_client.get("/v1/members")).json()["items"]) == 1


async def test_parallel_duplicates_make_one_member(owner_client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "one"}
    sent = [owner_client.post("/v1/members", json={"name": "bot"}, headers=headers) for _ in range(8)]
    answers = await asyncio.gather(*sent)
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert all(answer.headers.get("Retry-After") for answer in answers if answer.status_code == 409)
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert [item["name"] for item in (await owner_client.get("/v1/members")).json()["items"]].count("bot") == 1


async def test_new_key_is_shown_once_and_a_repeat_has_none(owner_client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "one"}
    first = await owner_client.post("/v1/api-keys", json={"name": "bot"}, headers=headers)
    again = await owner_client.post("/v1/api-keys", json={"name": "bot"}, headers=headers)
    assert first.json()["key"].startswith("amk_live_")
    assert again.json() == {**first.json(), "key": None}


async def test_answer_is_not_replayed_to_a_key_with_another_binding(memory: AsyncMemory) -> None:
    headers = {"Idempotency-Key": "one"}
    async with api(memory) as client:
        await client.post("/v1/memories", json={"content": "Ada's secret", "user_id": "ada"}, headers=headers)
    async with api(memory, role=Role.MEMBER, binding=Scope(user_id="bob")) as client:
        answer = await client.post("/v1/memories", json={"content": "Bob likes tea", "user_id": "bob"}, headers=headers)
    assert answer.status_code == 201, answer.text
    assert "Idempotency-Replayed" not in answer.headers


async def test_refusal_that_may_pass_is_not_kept(memory: AsyncMemory) -> None:
    headers = {"Idempotency-Key": "one"}
    async with api(memory) as client:
        memory_id = (await client.post("/v1/memories", json={"content": "Ada likes tea"})).json()["memories"][0]["id"]
        refused = await client.post(f"/v1/memories/{memory_id}/restore", headers=headers)
        assert refused.status_code == 409
        await client.delete(f"/v1/memories/{memory_id}")
        assert (await client.post(f"/v1/memories/{memory_id}/restore", headers=headers)).status_code == 200


async def test_invalid_input_is_kept_with_its_answer(owner_client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "one"}
    first = await owner_client.post("/v1/memories", json={"content": " "}, headers=headers)
    again = await owner_client.post("/v1/memories", json={"content": " "}, headers=headers)
    assert (first.status_code, again.status_code, again.content) == (422, 422, first.content)


@pytest.mark.parametrize("given", ["", "with space", "x" * 256, "tab\t"])
async def test_malformed_key_is_refused(owner_client: httpx.AsyncClient, given: str) -> None:
    answer = await owner_client.post("/v1/memories", json={"content": "x"}, headers={"Idempotency-Key": given})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "header.Idempotency-Key")


async def test_import_is_done_once_and_another_body_is_refused(owner_client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "one", "Content-Type": "application/x-ndjson"}
    body = b'{"role": "user", "content": "I like tea"}\n'
    first = await owner_client.post("/v1/memories/import", content=body, headers=headers)
    again = await owner_client.post("/v1/memories/import", content=body, headers=headers)
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (first.json(), "true")
    other = await owner_client.post("/v1/memories/import", content=body * 2, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")
    assert len((await owner_client.get("/v1/memories")).json()["items"]) == 1
