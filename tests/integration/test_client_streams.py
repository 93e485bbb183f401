"""Pages, exports, imports and bulk adds of both faces of the client, against a server with written answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from agentmem import AsyncClient
from agentmem.errors import (
    ImportFailed,
    InvalidInput,
    Unauthenticated,
    Unavailable,
)
from tests.support.answers import Reply, answering, refusal, reply
from tests.support.client_faces import FACES, Face

KEY = "amk_live_abcdefghijkl_" + "S" * 49
MEMORY: dict[str, object] = {
    "id": "01900000-0000-7000-8000-000000000001",
    "content": "likes tea",
    "kind": "episodic",
    "origin": "user",
    "authority": "user",
    "metadata": {},
    "importance": 0.5,
    "pinned": False,
    "occurred_at": "2025-01-01T00:00:00Z",
    "created_at": "2025-01-01T00:00:00Z",
    "updated_at": "2025-01-01T00:00:00Z",
    "version": 1,
}
ADDED = reply({"memories": [MEMORY], "duplicates": [], "pending": False}, 201)
RECORD = reply(MEMORY)
FOUND = reply({"hits": [], "timings": {"embed_ms": 1, "database_ms": 1, "rank_ms": 1, "total_ms": 3}})
OVERLOADED = refusal(503, "overloaded", "Too much to do.", retry_after="0")
FAILING = refusal(503, "embedder_unavailable", "The model does not answer.")


@pytest.fixture(params=sorted(FACES))
def face(request: pytest.FixtureRequest) -> Face:
    return FACES[request.param]


async def test_pages_are_fetched_when_they_are_wanted(face: Face) -> None:
    pages = [reply({"items": [MEMORY] * 2, "next_cursor": cursor}) for cursor in ("one", "two", None)]
    with answering(*pages) as script:
        async with face(KEY, script.url) as client:
            seen = [len(script.asked) async for _ in client.iterate(user_id="ana", page_size=2)]

    assert seen == [1, 1, 2, 2, 3, 3]
    assert [json.loads(asked.body).get("cursor") for asked in script.asked] == [None, "one", "two"]


async def test_export_is_cut_at_line_ends_alone(face: Face) -> None:
    lines = ['{"a":"\u2028 \x85 \x0b \u2029"}', '{"b":"\r"}', "{}"]
    with answering(Reply(body="".join(line + "\n" for line in lines).encode())) as script:
        async with face(KEY, script.url) as client:
            found = [line async for line in client.export(user_id="ana")]

    assert found == lines
    assert script.asked[0].query == [("user_id", "ana")]


@pytest.mark.parametrize("reached", [9, 12])
async def test_export_that_breaks_off_never_ends_quietly(face: Face, reached: int) -> None:
    with answering(Reply(body=b'{"a": 1}\n{"b": 2}\n', cut=reached)) as script:
        async with face(KEY, script.url) as client:
            lines = client.export()
            first = await anext(lines)
            with pytest.raises(Unavailable):
                await anext(lines)

    assert first == '{"a": 1}'


async def test_export_that_is_refused_raises_its_error(face: Face) -> None:
    with answering(refusal(401, "unauthenticated")) as script:
        async with face(KEY, script.url) as client:
            with pytest.raises(Unauthenticated):
                _ = [line async for line in client.export()]


async def test_import_is_one_stream_of_lines(face: Face) -> None:
    lines = [json.dumps({"content": f"\u2028 {number} " + "x" * 1000}, ensure_ascii=False) for number in range(300)]
    sent: list[int] = []
    with answering(reply({"imported": 300, "skipped": 0})) as script:
        async with face(KEY, script.url) as client:
            answer = await client.import_(
                (line + "\n" for line in lines), progress=sent.append, user_id="ana", pinned=True, metadata={"a": 1}
            )

    assert answer.imported == 300
    assert script.asked[0].body.decode().split("\n")[:-1] == lines
    assert script.asked[0].headers["content-type"] == "application/x-ndjson"
    assert dict(script.asked[0].query) == {"user_id": "ana", "pinned": "true", "metadata": '{"a":1}'}
    assert sum(sent) == 300
    assert len(sent) > 1


async def test_import_takes_asynchronous_lines() -> None:
    async def lines() -> AsyncIterator[str]:
        yield "{}"

    with answering(reply({"imported": 1, "skipped": 0})) as script:
        async with AsyncClient(KEY, base_url=script.url) as client:
            assert (await client.import_(lines())).imported == 1


async def test_import_that_is_refused_raises_its_error(face: Face) -> None:
    with answering(refusal(422, "import_failed", "Line 2 is not JSON.")) as script:
        async with face(KEY, script.url) as client:
            with pytest.raises(ImportFailed, match="Line 2"):
                await client.import_(["{}", "{"])


async def test_many_are_sent_in_batches_that_keep_conversations_whole(face: Face) -> None:
    turns = [{"role": "user", "content": str(number)} for number in range(300)]
    stored: list[int] = []
    with answering(ADDED) as script:
        async with face(KEY, script.url) as client:
            answer = await client.add_many([*turns, *(["text"] * 257)], progress=stored.append, user_id="ana")

    assert stored == [300, 256, 1]
    assert answer.added == 3
    assert [len(json.loads(asked.body)["memories"]) for asked in script.asked] == stored


async def test_bad_item_is_named_and_what_came_before_its_batch_is_stored(face: Face) -> None:
    with answering(ADDED) as script:
        async with face(KEY, script.url) as client:
            with pytest.raises(InvalidInput, match=r"Item 300: .*content"):
                await client.add_many([*(["text"] * 299), {"content": " "}])

    assert len(script.asked) == 1
