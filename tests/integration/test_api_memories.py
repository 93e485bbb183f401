"""Memories over REST: the whole application in one process, with real keys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest

from agentmem import AsyncMemory
from agentmem.schemas.access import Role
from agentmem.schemas.organizations import OrganizationPatch
from tests.support.served import api


@pytest.fixture
async def client(memory: AsyncMemory) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an empty organization, with its owner's key."""
    async with api(memory) as opened:
        yield opened


async def remember(client: httpx.AsyncClient, content: str, **attributes: object) -> str:
    """Add one text, and give its id."""
    added = await client.post("/v1/memories", json={"content": content, **attributes})
    assert added.status_code == 201, added.text
    return str(added.json()["memories"][0]["id"])


async def test_added_text_is_found_by_search(client: httpx.AsyncClient) -> None:
    memory_id = await remember(client, "Ada likes green tea", user_id="ada")
    found = await client.post(
        "/v1/memories/search", json={"query": "What does Ada drink?", "scope": {"user_id": "ada"}}
    )
    assert [hit["memory"]["id"] for hit in found.json()["hits"]] == [memory_id]


async def test_messages_of_one_call_are_added_in_order_with_their_speakers(client: httpx.AsyncClient) -> None:
    messages = [{"content": "I like tea", "name": "Ann"}, {"role": "assistant", "content": "Noted"}]
    added = await client.post("/v1/memories", json={"messages": messages, "user_id": "ann"})
    assert [(item["content"], item["actor"], item["role"]) for item in added.json()["memories"]] == [
        ("I like tea", "Ann", "user"),
        ("Noted", None, "assistant"),
    ]


async def test_attributes_of_a_call_stand_for_memories_that_say_none_themselves(client: httpx.AsyncClient) -> None:
    memories = [{"content": "one"}, {"content": "two", "user_id": "bob", "kind": "core"}]
    added = await client.post("/v1/memories", json={"memories": memories, "user_id": "ann", "kind": "semantic"})
    assert [(item["user_id"], item["kind"]) for item in added.json()["memories"]] == [
        ("ann", "semantic"),
        ("bob", "core"),
    ]


async def test_text_that_is_there_already_is_answered_as_a_duplicate(client: httpx.AsyncClient) -> None:
    memory_id = await remember(client, "Ada likes tea")
    again = await client.post("/v1/memories", json={"content": "Ada likes tea"})
    assert again.json()["duplicates"] == [memory_id]


async def test_list_comes_in_pages_that_the_link_header_leads_through(client: httpx.AsyncClient) -> None:
    expected = {await remember(client, f"memory {number}", user_id="ada") for number in range(5)}
    url, seen = "/v1/memories?user_id=ada&limit=2", []
    while url:
        page = await client.get(url)
        seen += [item["id"] for item in page.json()["items"]]
        url = page.links.get("next", {}).get("url", "")
        assert bool(url) == (page.json()["next_cursor"] is not None)
    assert set(seen) == expected
    assert len(seen) == 5


async def test_link_leads_to_where_clients_reach_the_server(memory: AsyncMemory) -> None:
    async with api(memory, public_url="https://memory.example/api/") as client:
        for text in ("one", "two"):
            await remember(client, text)
        page = await client.get("/v1/memories?limit=1")
        document = (await client.get("/openapi.json")).json()
        made = await client.post("/v1/members", json={"name": "bot"})
    assert page.links["next"]["url"].startswith("https://memory.example/api/v1/memories?limit=1&cursor=")
    assert made.headers["Location"] == f"https://memory.example/api/v1/members/{made.json()['id']}"
    assert document["servers"] == [{"url": "https://memory.example/api"}]


async def test_list_is_narrowed_by_filters_in_the_url_and_in_a_body(client: httpx.AsyncClient) -> None:
    await remember(client, "casual", kind="episodic")
    kept = await remember(client, "important", kind="core")
    by_url = await client.get("/v1/memories", params={"filters": '{"kind": "core"}'})
    by_body = await client.post("/v1/memories/query", json={"filters": {"kind": "core"}})
    assert [item["id"] for item in by_url.json()["items"]] == [kept]
    assert by_body.json() == by_url.json()


async def test_etag_of_a_memory_is_its_version_and_answers_304(client: httpx.AsyncClient) -> None:
    memory_id = await remember(client, "Ada likes tea")
    read = await client.get(f"/v1/memories/{memory_id}")
    assert read.headers["ETag"] == '"1"'
    again = await client.get(f"/v1/memories/{memory_id}", headers={"If-None-Match": '"1"'})
    assert (again.status_code, again.content) == (304, b"")


async def test_update_of_a_version_that_is_gone_is_refused_and_changes_nothing(client: httpx.AsyncClient) -> None:
    memory_id = await remember(client, "Ada likes tea")
    first = await client.patch(f"/v1/memories/{memory_id}", json={"importance": 0.9}, headers={"If-Match": '"1"'})
    assert (first.status_code, first.headers["ETag"]) == (200, '"2"')
    lost = await client.patch(f"/v1/memories/{memory_id}", json={"importance": 0.1}, headers={"If-Match": '"1"'})
    assert (lost.status_code, lost.json()["code"]) == (412, "version_conflict")
    assert (await client.get(f"/v1/memories/{memory_id}")).json()["importance"] == 0.9


@pytest.mark.parametrize("given", ['W/"1"', "1", '"0"', '"x"', '"1", "2"'])
async def test_malformed_if_match_is_a_bad_request(client: httpx.AsyncClient, given: str) -> None:
    memory_id = await remember(client, "Ada likes tea")
    answer = await client.delete(f"/v1/memories/{memory_id}", headers={"If-Match": given})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "header.If-Match")


async def test_organization_that_demands_if_match_gets_428_without_it(memory: AsyncMemory) -> None:
    await memory.app.organizations.update(memory.app.caller, OrganizationPatch(require_if_match=True))
    async with api(memory) as client:
        memory_id = await remember(client, "Ada likes tea")
        refused = await client.delete(f"/v1/memories/{memory_id}")
        assert (refused.status_code, refused.json()["code"]) == (428, "precondition_required")
        assert (await client.delete(f"/v1/memories/{memory_id}", headers={"If-Match": '"1"'})).status_code == 204


@pytest.mark.parametrize("action, field", [("update", "changes"), ("delete", "memories")])
async def test_organization_that_demands_if_match_gets_428_for_the_item_of_a_batch_without_a_version(
    memory: AsyncMemory, action: str, field: str
) -> None:
    await memory.app.organizations.update(memory.app.caller, OrganizationPatch(require_if_match=True))
    change = {"importance": 0.9} if action == "update" else {}
    async with api(memory) as client:
        versioned, bare = [await remember(client, text) for text in ("Ada likes tea", "Ada likes cake")]
        items = [{"id": versioned, "if_version": 1, **change}, {"id": bare, **change}]
        refused = await client.post(f"/v1/memories/batch/{action}", json={field: items})
        assert (refused.status_code, refused.json()["code"]) == (428, "precondition_required")
        assert [fault["field"] for fault in refused.json()["errors"]] == [f"body.{field}.1.if_version"]
        assert len((await client.get(f"/v1/memories/{versioned}/history")).json()["items"]) == 1
        items[1]["if_version"] = 1
        assert (await client.post(f"/v1/memories/batch/{action}", json={field: items})).status_code == 200


async def test_deleted_memory_has_a_history_and_can_be_restored(client: httpx.AsyncClient) -> None:
    memory_id = await remember(client, "Ada likes tea")
    assert (await client.delete(f"/v1/memories/{memory_id}")).status_code == 204
    assert (await client.get(f"/v1/memories/{memory_id}")).status_code == 404
    assert (await client.post(f"/v1/memories/{memory_id}/restore")).status_code == 200
    history = await client.get(f"/v1/memories/{memory_id}/history")
    assert [change["change"] for change in history.json()["items"]] == ["added", "deleted", "restored"]


async def test_pin_and_unpin_set_the_flag(client: httpx.AsyncClient) -> None:
    memory_id = await remember(client, "Ada likes tea")
    assert (await client.put(f"/v1/memories/{memory_id}/pin", json={"pinned": True})).json()["pinned"]
    assert not (await client.put(f"/v1/memories/{memory_id}/pin", json={"pinned": False})).json()["pinned"]


async def test_delete_by_scope_deletes_that_scope_and_needs_one(client: httpx.AsyncClient) -> None:
    await remember(client, "Ada likes tea", user_id="ada")
    kept = await remember(client, "Bob likes tea", user_id="bob")
    refused = await client.delete("/v1/memories")
    assert (refused.status_code, refused.json()["code"]) == (422, "scope_empty")
    assert (await client.delete("/v1/memories", params={"user_id": "ada"})).json() == {"deleted": 1}
    assert [item["id"] for item in (await client.get("/v1/memories")).json()["items"]] == [kept]


async def test_batch_changes_all_memories_or_none(client: httpx.AsyncClient) -> None:
    ids = [await remember(client, f"memory {number}") for number in range(2)]
    changes = [{"id": item, "importance": 1.0} for item in ids]
    changed = await client.post("/v1/memories/batch/update", json={"changes": changes})
    assert [item["importance"] for item in changed.json()["items"]] == [1.0, 1.0]
    unknown = {"memories": [{"id": ids[0]}, {"id": str(uuid4())}]}
    assert (await client.post("/v1/memories/batch/delete", json=unknown)).status_code == 404
    both = {"memories": [{"id": item} for item in ids]}
    assert (await client.post("/v1/memories/batch/delete", json=both)).json() == {"deleted": 2}


async def test_context_statistics_entities_and_usage_count_what_was_added(client: httpx.AsyncClient) -> None:
    await remember(client, "Ada likes green tea", user_id="ada")
    context = await client.post("/v1/context", json={"query": "tea", "budget": 100})
    assert "green tea" in context.json()["text"]
    assert (await client.get("/v1/stats", params={"user_id": "ada"})).json()["memories"] == 1
    seen = (await client.get("/v1/entities/users")).json()["items"]
    assert [(item["id"], item["memories"]) for item in seen] == [("ada", 1)]
    assert (await client.get("/v1/usage")).json()["storage"]["memories"] == 1


async def test_viewer_reads_and_may_not_write(memory: AsyncMemory) -> None:
    async with api(memory, role=Role.VIEWER) as client:
        assert (await client.get("/v1/memories")).status_code == 200
        refused = await client.post("/v1/memories", json={"content": "Ada likes tea"})
        assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")


async def test_stranger_is_refused_before_the_body_is_read(memory: AsyncMemory) -> None:
    async with api(memory) as client:
        refused = await client.post("/v1/memories", content=b"{not json", headers={"Authorization": "Bearer nothing"})
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
    assert refused.headers["WWW-Authenticate"] == "Bearer"
