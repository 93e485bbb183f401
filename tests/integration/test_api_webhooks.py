"""Webhooks over REST: what is shown, what is shown once, and who may."""

from __future__ import annotations

from uuid import uuid4

import pytest

from agentmem import AsyncMemory
from agentmem.schemas.access import Permission, Role
from agentmem.schemas.memories import Scope
from tests.support.served import api

NEW = {"url": "https://hooks.example.com/in?token=secret", "types": ["memory.*"], "description": "search index"}


async def test_webhook_is_made_read_changed_and_deleted(memory: AsyncMemory) -> None:
    async with api(memory) as client:
        made = await client.post("/v1/webhooks", json=NEW)
        webhook = made.json()["webhook"]
        path = f"/v1/webhooks/{webhook['id']}"
        assert (made.status_code, made.headers["location"], made.headers["etag"]) == (201, path, '"1"')
        assert made.json()["key"].startswith("whsec_")

        read = await client.get(path)
        assert read.json() == webhook
        assert webhook["url"] == NEW["url"]
        assert (await client.get(path, headers={"If-None-Match": '"1"'})).status_code == 304
        assert (await client.get("/v1/webhooks")).json()["items"] == [webhook]

        stale = await client.patch(path, json={"enabled": False}, headers={"If-Match": '"7"'})
        assert stale.status_code == 412
        changed = await client.patch(path, json={"enabled": False}, headers={"If-Match": '"1"'})
        assert (changed.json()["enabled"], changed.json()["disabled_reason"]) == (False, "asked")
        assert (await client.post(f"{path}/test")).status_code == 409

        assert (await client.delete(path)).status_code == 204
        assert (await client.get(path)).status_code == 404


async def test_signing_key_is_shown_once_and_never_in_a_repeated_answer(memory: AsyncMemory) -> None:
    async with api(memory) as client:
        again = {"Idempotency-Key": str(uuid4())}
        first = await client.post("/v1/webhooks", json=NEW, headers=again)
        second = await client.post("/v1/webhooks", json=NEW, headers=again)
        assert second.headers["idempotency-replayed"] == "true"
        assert second.json() == {**first.json(), "key": None}

        path = f"/v1/webhooks/{first.json()['webhook']['id']}"
        rotated = await client.post(f"{path}/rotate", json={"overlap_seconds": 60})
        assert rotated.json()["key"].startswith("whsec_")
        assert rotated.json()["key"] != first.json()["key"]
        assert rotated.json()["webhook"]["old_key_until"] is not None
        assert "whsec_" not in (await client.get(path)).text


async def test_ping_and_replay_are_accepted_and_in_the_log(memory: AsyncMemory) -> None:
    async with api(memory) as client:
        path = f"/v1/webhooks/{(await client.post('/v1/webhooks', json=NEW)).json()['webhook']['id']}"
        asked = await client.post(f"{path}/test")
        assert (asked.status_code, asked.json()["type"], asked.json()["state"]) == (202, "ping", "pending")

        replayed = await client.post(f"{path}/deliveries/{asked.json()['id']}/replay")
        assert (replayed.status_code, replayed.json()["message_id"]) == (202, asked.json()["message_id"])
        assert [item["id"] for item in (await client.get(f"{path}/deliveries")).json()["items"]] == [asked.json()["id"]]
        assert (await client.post(f"{path}/deliveries/{uuid4()}/replay")).status_code == 404


@pytest.mark.parametrize("url", ["http://hooks.example/", "https://127.0.0.1/", "https://a:b@hooks.example/"])
async def test_address_that_nothing_may_be_sent_to_is_refused(memory: AsyncMemory, url: str) -> None:
    async with api(memory) as client:
        answer = await client.post("/v1/webhooks", json={"url": url})

        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "url")


@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER, Role.SERVICE])
async def test_webhooks_and_events_are_for_owners_and_admins(memory: AsyncMemory, role: Role) -> None:
    async with api(memory, role=role) as client:
        for answer in (await client.get("/v1/webhooks"), await client.post("/v1/webhooks", json=NEW)):
            assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
        assert (await client.get("/v1/events?seconds=0")).status_code == 403


async def test_bound_key_neither_follows_nor_subscribes(memory: AsyncMemory) -> None:
    async with api(memory, binding=Scope(user_id="ada")) as client:
        assert (await client.get("/v1/events?seconds=0")).status_code == 403
        assert (await client.post("/v1/webhooks", json=NEW)).status_code == 403


async def test_stream_of_a_moment_tells_what_is_there(memory: AsyncMemory) -> None:
    async with api(memory, scopes=[Permission.EVENT_READ]) as client:
        opened = await client.get("/v1/events?seconds=0")
        place = opened.text.split("id: ")[1].split()[0]
        added = (await memory.add("one")).memories[0]
        await memory.app.events.relay.relay()

        told = await client.get("/v1/events?seconds=0", headers={"Last-Event-ID": place})

    assert (told.status_code, told.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert str(added.id) in told.text
    assert f"id: {int(place) + 1}\nevent: memory.added\ndata: " in told.text
