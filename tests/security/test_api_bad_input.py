"""Bad input over REST: a precise problem that names the field, and nothing stored."""

from __future__ import annotations

import base64
import json

import pytest

from agentmem import AsyncMemory
from tests.support.served import api

UUID = "01936a5e-7b1c-7d3e-9f20-4a5b6c7d8e9f"
DEEP = b'{"content": "x", "metadata": ' + b'{"a": ' * 40 + b"1" + b"}" * 40 + b"}"
JSON = {"Content-Type": "application/json"}
BODIES = {
    "not JSON": (b"{", 400, "body"),
    "an empty body": (b"", 400, "body"),
    "NaN": (b'{"content": NaN}', 400, "body"),
    "a name twice": (b'{"content": "x", "content": "y"}', 400, "body"),
    "bytes that are not UTF-8": (b'{"content": "\xff"}', 400, "body"),
    "deep nesting": (DEEP, 400, "body"),
    "an array": (b"[]", 422, "body"),
    "a number for a text": (b'{"content": 3}', 422, "body.content"),
    "nothing to remember": (b"{}", 422, "body"),
    "blank text": (b'{"content": " "}', 422, "body.content"),
    "NUL": (b'{"content": "a\\u0000b"}', 422, "body.content"),
    "a lone surrogate": (b'{"content": "\\ud800"}', 422, "body.content"),
    "an unknown field": (b'{"content": "x", "colour": "red"}', 422, "body.colour"),
    "an unknown kind": (b'{"content": "x", "kind": "red"}', 422, "body.kind"),
    "an importance above 1": (b'{"content": "x", "importance": 2}', 422, "body.importance"),
    "a number for a time": (b'{"content": "x", "occurred_at": 5}', 422, "body.occurred_at"),
    "a text for a flag": (b'{"content": "x", "pinned": "yes"}', 422, "body.pinned"),
    "a NUL in metadata": (b'{"content": "x", "metadata": {"a": "\\u0000"}}', 422, "body.metadata"),
    "a huge integer": (b'{"content": "x", "metadata": {"a": 18446744073709551616}}', 422, "body.metadata"),
    "no messages": (b'{"messages": []}', 422, "body.messages"),
    "a wrong message": (b'{"messages": [{"role": "king", "content": "x"}]}', 422, "body.messages.0.role"),
}
SEARCHES = {
    "a limit of 0": ({"query": "x", "limit": 0}, "body.limit"),
    "a huge limit": ({"query": "x", "limit": 10**9}, "body.limit"),
    "a text for a limit": ({"query": "x", "limit": "5"}, "body.limit"),
    "no query": ({}, "body.query"),
    "a long query": ({"query": "x" * 10_001}, "body.query"),
    "a wrong scope": ({"query": "x", "scope": {"user": "ada"}}, "body.scope.user"),
}
URLS = {
    "/v1/memories?limit=0": "query.limit",
    "/v1/memories?limit=1001": "query.limit",
    "/v1/memories?limit=x": "query.limit",
    "/v1/memories?user_id=": "query.user_id",
    "/v1/memories?user_id=%00": "query.user_id",
    "/v1/memories?order=sideways": "query.order",
    "/v1/memories?cursor=%20": "query.cursor",
    "/v1/memories?filters=[1]": "query.filters",
    "/v1/memories?filters={": "query.filters",
    "/v1/memories?as_of=yesterday": "query.as_of",
    "/v1/memories?as_of=5": "query.as_of",
    "/v1/memories?colour=red": "query.colour",
    "/v1/entities/colours": "path.kind",
    "/v1/members/x": "path.member_id",
    "/v1/api-keys/x": "path.key_id",
    "/v1/webhooks/x": "path.webhook_id",
    "/v1/events?after=-1": "query.after",
    "/v1/events?seconds=nan": "query.seconds",
    "/v1/events?types=memory.aded": "query.types.0",
    "/v1/usage?since=2026-13-01": "query.since",
    "/v1/memories/duplicates?threshold=2": "query.threshold",
}


@pytest.mark.parametrize("case", BODIES)
async def test_bad_body_is_refused_with_its_field_and_stores_nothing(memory: AsyncMemory, case: str) -> None:
    body, status, field = BODIES[case]
    async with api(memory) as client:
        answer = await client.post("/v1/memories", content=body, headers=JSON)
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.status_code == status, answer.text
        assert any(fault["field"].startswith(field) for fault in answer.json()["errors"]), answer.text
        assert (await client.get("/v1/memories")).json()["items"] == []


@pytest.mark.parametrize("case", SEARCHES)
async def test_bad_search_is_refused_with_its_field(memory: AsyncMemory, case: str) -> None:
    body, field = SEARCHES[case]
    async with api(memory) as client:
        answer = await client.post("/v1/memories/search", json=body)
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("days", [-1, 1_000_000, "x", 1.5, True])
async def test_impossible_age_of_what_to_purge_is_refused_with_its_field(memory: AsyncMemory, days: object) -> None:
    async with api(memory) as client:
        answer = await client.post("/v1/maintenance/vacuum", json={"purge_after_days": days})
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["errors"]] == ["body.purge_after_days"]


@pytest.mark.parametrize("url", URLS)
async def test_bad_url_is_refused_with_its_field(memory: AsyncMemory, url: str) -> None:
    async with api(memory) as client:
        answer = await client.get(url)
    assert answer.status_code == 422, answer.text
    assert [fault["field"] for fault in answer.json()["errors"]] == [URLS[url]]


@pytest.mark.parametrize("cursor", ["0", "e30", "WyJhIiwxXQ", "A" * 4000])
async def test_absurd_cursor_is_refused(memory: AsyncMemory, cursor: str) -> None:
    async with api(memory) as client:
        for path in ("/v1/memories", "/v1/members", "/v1/api-keys", "/v1/audit", "/v1/entities/users"):
            answer = await client.get(path, params={"cursor": cursor})
            assert (answer.status_code, answer.json()["code"]) == (422, "cursor_invalid"), path


@pytest.mark.parametrize(
    "value", ["\0", "\ud800", "a\0b", None, 5, -1e308, True, "9999-12-31T23:59:59-14:00", "x" * 2000]
)
async def test_cursor_that_somebody_wrote_is_refused_or_read_as_a_place(memory: AsyncMemory, value: object) -> None:
    async with api(memory) as client:
        for name in ("ann", "bob"):
            await client.post("/v1/memories", json={"content": "x", "user_id": name})
            await client.post("/v1/api-keys", json={"name": name})
            await client.post("/v1/members", json={"name": name, "role": "viewer"})
        for path in ("/v1/memories", "/v1/members", "/v1/api-keys", "/v1/audit", "/v1/entities/users"):
            cursor = (await client.get(path, params={"limit": 1})).json()["next_cursor"]
            fingerprint, *place = json.loads(base64.urlsafe_b64decode(cursor + "=="))
            for position in range(len(place)):
                written = [fingerprint, *place[:position], value, *place[position + 1 :]]
                cursor = base64.urlsafe_b64encode(json.dumps(written).encode()).decode().rstrip("=")
                answer = await client.get(path, params={"cursor": cursor, "limit": 1})
                if answer.status_code != 200:
                    assert (answer.status_code, answer.json()["code"]) == (422, "cursor_invalid"), (path, position)


async def test_body_of_10_mb_is_refused_where_it_is_too_large(memory: AsyncMemory) -> None:
    body = json.dumps({"query": "x" * 10_000_000}).encode()
    async with api(memory) as client:
        answer = await client.post("/v1/memories/search", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "request_too_large")


@pytest.mark.parametrize("media", ["text/plain", "application/xml", ""])
async def test_body_of_another_type_is_refused(memory: AsyncMemory, media: str) -> None:
    async with api(memory) as client:
        answer = await client.post("/v1/memories", content=b'{"content": "x"}', headers={"Content-Type": media})
    assert (answer.status_code, answer.json()["code"]) == (415, "content_type_unsupported")


@pytest.mark.parametrize(
    "method,path",
    [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/history"), ("POST", "/restore"), ("PUT", "/pin")],
)
async def test_unknown_memory_is_not_found(memory: AsyncMemory, method: str, path: str) -> None:
    bodies: dict[str, dict[str, object]] = {"PATCH": {"importance": 1}, "PUT": {"pinned": True}}
    async with api(memory) as client:
        answer = await client.request(method, f"/v1/memories/{UUID}{path}", json=bodies.get(method))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_value_that_was_refused_is_not_echoed(memory: AsyncMemory) -> None:
    async with api(memory) as client:
        answer = await client.post("/v1/memories", json={"content": "x", "kind": "canary-value"})
    assert "canary-value" not in answer.text
