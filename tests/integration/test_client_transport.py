"""Both faces of the client against a real HTTP server whose answers are written down beforehand."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from agentmem import AsyncClient, Client
from agentmem.errors import (
    AgentMemError,
    Closed,
    ConfigurationError,
    ContentTooLarge,
    EmbedderUnavailable,
    Fault,
    InvalidInput,
    NotFound,
    RateLimited,
    Unauthenticated,
    Unavailable,
    VersionConflict,
)
from agentmem.schemas.memories import Message, NewMemory
from tests.support.answers import CUT, Reply, answering, refusal, reply
from tests.support.client_faces import FACES, Face
from tests.support.redis_server import free_port

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


async def test_key_goes_with_every_call(face: Face) -> None:
    with answering(RECORD) as script:
        async with face(KEY, script.url) as client:
            await client.get(uuid4())

    assert script.asked[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("key", [KEY, "amk_secretSSSS", "secretSSSS"])
def test_key_is_not_shown(key: str) -> None:
    with Client(key) as client:
        shown = repr(client) + repr(AsyncClient(key))

    assert "SSSS" not in shown
    assert "Client(" in shown


async def test_add_sends_what_was_given_and_a_key_of_its_own(face: Face) -> None:
    with answering(ADDED) as script:
        async with face(KEY, script.url) as client:
            added = await client.add(
                ["likes tea", {"role": "user", "name": "Ana", "content": "hi"}, NewMemory(content="x", user_id="bo")],
                user_id="ana",
                metadata={"topic": "tea"},
            )
            await client.add(Message(content="again"), idempotency_key="mine", on_duplicate="keep")

    first, second = script.asked
    assert (first.method, first.path) == ("POST", "/v1/memories")
    assert first.json() == {
        "memories": [
            {"user_id": "ana", "metadata": {"topic": "tea"}, "content": "likes tea"},
            {"user_id": "ana", "metadata": {"topic": "tea"}, "content": "hi", "role": "user", "actor": "Ana"},
            {"content": "x", "user_id": "bo"},
        ]
    }
    assert UUID(first.headers["idempotency-key"]).version == 4
    assert second.headers["idempotency-key"] == "mine"
    assert second.json() == {"memories": [{"content": "again", "role": "user", "metadata": {}}], "on_duplicate": "keep"}
    assert added.memories[0].content == "likes tea"


async def test_search_sends_only_what_was_given(face: Face) -> None:
    with answering(FOUND) as script:
        async with face(KEY, script.url) as client:
            await client.search("tea", user_id="ana", filters={"metadata.topic": None})

    assert script.asked[0].path == "/v1/memories/search"
    assert script.asked[0].json() == {
        "query": "tea",
        "limit": 10,
        "mode": "hybrid",
        "explain": False,
        "scope": {"user_id": "ana"},
        "filters": {"metadata.topic": None},
    }


async def test_update_names_its_version_and_only_its_changes(face: Face) -> None:
    with answering(RECORD) as script:
        async with face(KEY, script.url) as client:
            await client.update(uuid4(), if_version=3, expires_at=None)
            await client.update(uuid4(), content="new")

    assert script.asked[0].headers["if-match"] == '"3"'
    assert script.asked[0].json() == {"expires_at": None}
    assert "if-match" not in script.asked[1].headers


async def test_scope_goes_into_the_query_letter_by_letter(face: Face) -> None:
    with answering(reply({"deleted": 2})) as script:
        async with face(KEY, script.url) as client:
            answer = await client.delete_all(user_id="Ana & Bo/50% + ü")

    assert answer.deleted == 2
    assert script.asked[0].method == "DELETE"
    assert script.asked[0].query == [("user_id", "Ana & Bo/50% + ü")]


@pytest.mark.parametrize("known", [True, False])
async def test_field_that_a_newer_server_adds_is_passed_over(face: Face, known: bool) -> None:
    value = MEMORY if known else {**MEMORY, "mood": "merry"}
    with answering(reply(value)) as script:
        async with face(KEY, script.url) as client:
            assert (await client.get(uuid4())).content == "likes tea"


async def test_answer_of_something_else_is_an_error_of_ours(face: Face) -> None:
    with answering(Reply(body=b"<html>It works!</html>")) as script:
        async with face(KEY, script.url) as client:
            with pytest.raises(AgentMemError, match="not what this client reads"):
                await client.get(uuid4())


@pytest.mark.parametrize(
    "status, code, kind",
    [
        (401, "unauthenticated", Unauthenticated),
        (404, "not_found", NotFound),
        (412, "version_conflict", VersionConflict),
        (413, "content_too_large", ContentTooLarge),
        (404, None, NotFound),
        (418, None, InvalidInput),
        (500, None, AgentMemError),
        (502, None, Unavailable),
        (429, None, RateLimited),
        (422, "code_of_tomorrow", InvalidInput),
    ],
)
async def test_refusal_raises_the_error_of_its_code(
    face: Face, status: int, code: str | None, kind: type[AgentMemError]
) -> None:
    answer = Reply(status=status, body=b"<html>") if code is None else refusal(status, code, "No tea.")
    with answering(answer) as script:
        async with face(KEY, script.url, retries=0) as client:
            with pytest.raises(kind) as caught:
                await client.get(uuid4())

    assert type(caught.value) is kind
    assert caught.value.status == status
    assert code is None or (caught.value.code, caught.value.message) == (code, "No tea.")


async def test_error_carries_hint_faults_and_request(face: Face) -> None:
    problem = {
        "code": "input_invalid",
        "detail": "Input is not valid.",
        "hint": "Mend it.",
        "errors": [{"field": "body.limit", "message": "is too large"}],
    }
    with answering(reply(problem, 422, X_Request_ID="r-1")) as script:
        async with face(KEY, script.url) as client:
            with pytest.raises(InvalidInput) as caught:
                await client.search("tea")

    assert str(caught.value) == "Input is not valid. Mend it."
    assert caught.value.faults == (Fault(field="body.limit", message="is too large"),)
    assert caught.value.__notes__ == ["Request r-1"]


async def test_time_to_wait_is_told(face: Face) -> None:
    with answering(refusal(429, "rate_limited", retry_after="7")) as script:
        async with face(KEY, script.url, retries=0) as client:
            with pytest.raises(RateLimited) as caught:
                await client.search("tea")

    assert caught.value.retry_after == 7


async def test_repeated_add_carries_the_same_key(face: Face) -> None:
    with answering(CUT, FAILING, ADDED) as script:
        async with face(KEY, script.url) as client:
            await client.add("likes tea")

    assert len({asked.headers["idempotency-key"] for asked in script.asked}) == 1
    assert len(script.asked) == 3


@pytest.mark.parametrize("broken", [CUT, FAILING], ids=["cut", "failing"])
async def test_change_without_a_version_is_sent_once(face: Face, broken: Reply) -> None:
    with answering(broken, RECORD) as script:
        async with face(KEY, script.url) as client:
            with pytest.raises(Unavailable):
                await client.update(uuid4(), content="new")

    assert len(script.asked) == 1


async def test_change_with_a_version_and_a_pin_are_sent_again(face: Face) -> None:
    with answering(CUT, RECORD) as script:
        async with face(KEY, script.url) as client:
            await client.update(uuid4(), if_version=1, content="new")
    with answering(FAILING, RECORD) as other:
        async with face(KEY, other.url) as client:
            await client.pin(uuid4())

    assert (len(script.asked), len(other.asked)) == (2, 2)


async def test_anything_the_server_had_no_time_for_is_sent_again(face: Face) -> None:
    with answering(OVERLOADED, Reply(status=204, body=b"")) as script:
        async with face(KEY, script.url) as client:
            await client.delete(uuid4())

    assert len(script.asked) == 2


async def test_server_that_keeps_failing_is_given_up(face: Face) -> None:
    with answering(FAILING) as script:
        async with face(KEY, script.url, retries=2) as client:
            with pytest.raises(EmbedderUnavailable):
                await client.search("tea")

    assert len(script.asked) == 3


async def test_server_that_is_not_there_is_named(face: Face) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with face(KEY, url, retries=1) as client:
        with pytest.raises(Unavailable, match=url):
            await client.add("likes tea")


async def test_server_that_is_silent_is_not_waited_for_without_end(face: Face) -> None:
    with answering(RECORD) as script:
        script.speaking.clear()
        async with face(KEY, script.url, seconds=0.05, retries=0) as client:
            with pytest.raises(Unavailable, match="in time"):
                await client.get(uuid4())


@pytest.mark.parametrize(
    "content", [[], 3, [3], "\ud800", {"content": "x", "unknown": 1}, ["x"] * 1001, {"content": "x", "metadata": 1}]
)
async def test_bad_content_is_refused_before_anything_is_sent(face: Face, content: object) -> None:
    with answering(ADDED) as script:
        async with face(KEY, script.url) as client:
            with pytest.raises(InvalidInput):
                await client.add(content)  # type: ignore[arg-type]

    assert script.asked == []


async def test_other_bad_arguments_are_refused_before_anything_is_sent(face: Face) -> None:
    with answering(ADDED) as script:
        async with face(KEY, script.url) as client:
            for bad in (
                client.get("not an id"),
                client.search(""),
                client.search("x", limit=0),
                client.list(limit=5000),
                client.context("x", budget=1),
                client.update(uuid4(), if_version=0),
                client.update(uuid4(), content=None),  # type: ignore[arg-type]
                client.add("x", idempotency_key=""),
                client.add("x", idempotency_key=5),  # type: ignore[arg-type]
                client.add("x", idempotency_key=b"k"),  # type: ignore[arg-type]
                client.add("x", on_duplicate="perhaps"),
                client.stats(user_id="\ud800"),
                client.duplicates(threshold=2),
                client.import_("one text"),
                client.import_([1]),  # type: ignore[list-item]
                client.delete_many(["nothing"]),
                client.keys.create(""),
            ):
                with pytest.raises(InvalidInput):
                    await bad

    assert script.asked == []


async def test_closed_client_says_so(face: Face) -> None:
    async with face(KEY, "http://127.0.0.1:1") as client:
        pass
    with pytest.raises(Closed):
        await client.info()


@pytest.mark.parametrize(
    "url", ["http://memory.example.com", "http://10.0.0.1:8080", "ftp://127.0.0.1", "127.0.0.1:8080", "", "https://", "https://a:b@c.example"]
)  # fmt: skip
def test_address_that_would_leak_the_key_is_refused(url: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(ConfigurationError):
            kind(KEY, base_url=url)


@pytest.mark.parametrize("url", ["http://localhost:1", "http://[::1]:1", "https://memory.example.com/base"])
def test_address_that_keeps_the_key_is_taken(url: str) -> None:
    Client(KEY, base_url=url).close()
    Client(KEY, base_url="http://memory.example.com", insecure=True).close()


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "ключ"])
def test_key_that_no_header_can_carry_is_refused(key: str) -> None:
    with pytest.raises(ConfigurationError, match="api_key") as caught:
        Client(key)

    assert not key or key not in str(caught.value)


async def test_address_may_have_a_path_before_ours(face: Face) -> None:
    with answering(RECORD) as script:
        async with face(KEY, f"{script.url}/memory/") as client:
            await client.get(uuid4())

    assert script.asked[0].path.startswith("/memory/v1/memories/")


async def test_no_redirect_is_followed_with_the_key(face: Face) -> None:
    with answering(RECORD) as elsewhere, answering(Reply(status=307, headers={"Location": elsewhere.url})) as script:
        async with face(KEY, script.url) as client:
            with pytest.raises(AgentMemError):
                await client.get(uuid4())

    assert elsewhere.asked == []
