"""Idempotency-Key on every POST of the API: what is sent twice is done once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import httpx
import pytest

from agentmem import AsyncMemory
from agentmem.schemas.access import Role
from agentmem.schemas.memories import Scope
from tests.support.api_document import document_of, operations_of
from tests.support.served import api, client, operator_key
from tests.support.stores import Owner, Store

JSON = "application/json"
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


async def _api_key(client: httpx.AsyncClient) -> dict[str, str]:
    created = await client.post("/v1/api-keys", json={"name": "one"})
    return {"key_id": created.json()["api_key"]["id"]}


async def _organization(client: httpx.AsyncClient) -> dict[str, str]:
    created = await client.post("/v1/platform/organizations", json={"name": f"acme {uuid4().hex}"})
    return {"organization_id": created.json()["organization"]["id"]}


PREPARED: dict[str, Prepare] = {
    "restore": _deleted_memory,
    "rotate_api_key": _api_key,
    "suspend_organization": _organization,
    "resume_organization": _organization,
    "revive_organization": _organization,
}
"""What an operation needs to be there; the others need nothing."""


async def test_every_post_answers_a_repeated_key_as_the_first_time(store: Store, memory: AsyncMemory) -> None:
    every = [one for one in operations_of(document_of(memory.app)) if one.method == "POST"]
    posts = [one for one in every if one.name != "report_leak"]  # it does the same, sent twice: see below
    assert {"add", "search", "import_", "create_api_key", "create_organization"} <= {one.name for one in posts}
    operator = await operator_key(memory.app)
    for post in posts:
        assert any(item["name"] == "Idempotency-Key" for item in post.said["parameters"]), post.name
        opened = client(memory.app, operator) if post.path.startswith("/v1/platform") else api(memory)
        async with opened as caller:
            path = post.path.format(**await PREPARED.get(post.name, _nothing)(caller))
            headers = {"Idempotency-Key": f"{post.name}-{uuid4().hex}"}
            first = await _send(caller, path, post.body, headers)
            again = await _send(caller, path, post.body, headers)
        assert again.status_code == first.status_code, (post.name, first.text, again.text)
        if first.status_code < 500 and first.status_code not in {401, 403, 408, 409, 429}:
            assert again.headers.get("Idempotency-Replayed") == "true", (post.name, again.text)
            if "key" not in (first.json() if first.content else {}):
                assert again.content == first.content, post.name


async def _send(
    client: httpx.AsyncClient, path: str, body: tuple[str, object] | None, headers: dict[str, str]
) -> httpx.Response:
    if body is None:
        return await client.post(path, headers=headers)
    media, example = body
    if media == JSON:
        return await client.post(path, json=example, headers=headers)
    return await client.post(path, content=str(example).encode(), headers={**headers, "Content-Type": media})


async def test_leak_that_is_reported_again_changes_nothing_and_answers_alike(memory: AsyncMemory) -> None:
    async with api(memory) as owner:
        made = (await owner.post("/v1/api-keys", json={"name": "leaked"})).json()
        answers, seen = [], []
        for _ in range(2):
            answers.append(await owner.post("/v1/secret-scanning/report", json={"key": made["key"]}))
            seen.append((await owner.get(f"/v1/api-keys/{made['api_key']['id']}")).json())
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].content == answers[1].content
    assert seen[0] == seen[1]
    assert seen[0]["revoked_at"] is not None


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
