"""Import and export over REST, as streams of JSON Lines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from agentmem import AsyncMemory
from agentmem.entrypoints.api.lines import lines_of
from agentmem.errors import ImportFailed
from agentmem.schemas.access import Permission
from tests.support.served import api
from tests.support.stores import Store

LINES = {"Content-Type": "application/x-ndjson"}


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    """Give these parts as a body that arrives."""
    for part in parts:
        yield part


@pytest.fixture
async def client(memory: AsyncMemory) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an empty organization, with its owner's key."""
    async with api(memory) as opened:
        yield opened


async def test_lines_are_put_together_whatever_the_chunks() -> None:
    whole = "first\n\nzweite Zeile: ä\nlast".encode()
    for size in range(1, len(whole) + 1):
        parts = [whole[start : start + size] for start in range(0, len(whole), size)]
        assert [line async for line in lines_of(chunks(*parts), 100)] == ["first", "", "zweite Zeile: ä", "last"]


async def test_line_that_is_not_utf8_is_named_by_its_number() -> None:
    with pytest.raises(ImportFailed, match="Line 2 is not UTF-8: byte 1"):
        [line async for line in lines_of(chunks(b"good\nb\xff\n"), 100)]


async def test_export_of_one_organization_is_imported_into_another_without_loss(
    store: Store, memory: AsyncMemory
) -> None:
    added = await memory.add("Ada likes green tea", user_id="ada", metadata={"topic": "drinks"})
    await memory.update(added.memories[0].id, importance=0.9)
    async with api(memory) as source, api(await store.organization()) as target:
        exported = await source.get("/v1/memories/export")
        assert exported.headers["Content-Type"] == "application/x-ndjson"
        imported = await target.post("/v1/memories/import", content=exported.content, headers=LINES)
        assert imported.json() == {"imported": 1, "skipped": 0}
        (there,) = (await target.get("/v1/memories")).json()["items"]
        (here,) = (await source.get("/v1/memories")).json()["items"]
        assert {**there, "origin": None, "authority": None} == {**here, "origin": None, "authority": None}
        again = await target.post("/v1/memories/import", content=exported.content, headers=LINES)
        assert again.json() == {"imported": 0, "skipped": 1}


async def test_import_takes_texts_and_messages_with_attributes_from_the_url(client: httpx.AsyncClient) -> None:
    body = b'"Ada likes tea"\n{"role": "user", "content": "I like coffee", "name": "Bob"}\n'
    params = {"user_id": "ada", "kind": "semantic", "metadata": '{"source": "chat"}'}
    imported = await client.post("/v1/memories/import", content=body, headers=LINES, params=params)
    assert imported.json() == {"imported": 2, "skipped": 0}, imported.text
    items = (await client.get("/v1/memories")).json()["items"]
    assert {(item["user_id"], item["kind"], json.dumps(item["metadata"])) for item in items} == {
        ("ada", "semantic", '{"source": "chat"}')
    }


async def test_import_names_the_line_at_fault(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/memories/import", content=b'"good"\n{"content": 3}\n', headers=LINES)
    assert (answer.status_code, answer.json()["code"]) == (422, "import_failed")
    assert "Line 2" in answer.json()["detail"]


@pytest.mark.parametrize(
    "line, said",
    [
        ("[" * 33 + "]" * 33, "32 levels"),
        (json.dumps({"content": "x", "metadata": {"a": [0] * 10_001}}), "10001 items"),
        ('{"content": "x", "content": "y"}', "twice"),
        ('{"content": NaN}', "NaN"),
        (json.dumps("x" * 2000), "longer than 66"),
    ],
)
async def test_line_is_held_to_what_a_body_is_held_to(store: Store, line: str, said: str) -> None:
    ingestion = replace(store.app.ingestion, content_limit=64)
    small = replace(store.app, transfer=replace(store.app.transfer, ingestion=ingestion))
    memory = await store.organization(app=small)
    filler = " " * 66_000 if "longer" in said else ""
    async with api(memory) as client:
        answer = await client.post("/v1/memories/import", content=f'"good"\n{line}{filler}\n', headers=LINES)
    assert (answer.status_code, answer.json()["code"]) == (422, "import_failed")
    assert answer.json()["detail"].startswith("Line 2")
    assert said in answer.json()["detail"]


async def test_import_of_another_media_type_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/memories/import", json=["Ada likes tea"])
    assert (answer.status_code, answer.json()["code"]) == (415, "content_type_unsupported")


async def test_export_of_nothing_is_an_empty_body(client: httpx.AsyncClient) -> None:
    exported = await client.get("/v1/memories/export")
    assert (exported.status_code, exported.content) == (200, b"")


async def test_export_that_is_not_allowed_has_a_status(memory: AsyncMemory) -> None:
    async with api(memory, scopes=(Permission.USAGE_READ,)) as client:
        assert (await client.get("/v1/memories/export")).status_code == 403
