"""Every kind of bad input: a clear error of ours that names the place and never the content; nothing stored."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from agentmem import AgentMemError, AsyncMemory
from agentmem.errors import (
    Closed,
    ConfigurationError,
    ContentTooLarge,
    ImportFailed,
    InvalidCursor,
    InvalidFilter,
    InvalidInput,
)
from tests.support.embedders import HashEmbedder
from tests.support.stores import Store

SECRET = "the-secret-plan"
MEBIBYTE = 1024 * 1024
Call = Callable[[AsyncMemory], Awaitable[object]]


def case(name: str, call: Call, place: str, error: type[AgentMemError] = InvalidInput) -> object:
    return pytest.param(call, place, error, id=name)


def nested(levels: int) -> object:
    return json.loads("[" * levels + "]" * levels)


CONTENT = [
    case("empty text", lambda m: m.add(""), "content: .*empty"),
    case("white space", lambda m: m.add(" \t\n\u3000\u00a0"), "content: .*white space"),
    case("empty list", lambda m: m.add([]), "list is empty"),
    case("too large", lambda m: m.add("x" * (MEBIBYTE + 1)), f"{MEBIBYTE + 1} bytes.*{MEBIBYTE}", ContentTooLarge),
    case("too large in bytes", lambda m: m.add("界" * (MEBIBYTE // 3 + 1)), "bytes", ContentTooLarge),
    case("nul", lambda m: m.add(f"{SECRET}\0"), "content: .*NUL"),
    case("lone surrogate", lambda m: m.add(f"{SECRET}\ud800"), f"content: .*surrogate at character {len(SECRET)}"),
    case("number", lambda m: m.add(5), "not int"),  # type: ignore[arg-type]
    case("bytes", lambda m: m.add(SECRET.encode()), "not bytes"),  # type: ignore[arg-type]
    case("none", lambda m: m.add(None), "not NoneType"),  # type: ignore[arg-type]
    case("set", lambda m: m.add({SECRET}), "not set"),  # type: ignore[arg-type]
    case("list of lists", lambda m: m.add([[SECRET]]), "not list"),  # type: ignore[list-item]
    case("too many items", lambda m: m.add(["x"] * 1001), "1001.*add_many"),
    case("memory without content", lambda m: m.add({"kind": "core"}), "content: .*required"),
    case("unknown field", lambda m: m.add({"content": SECRET, "colour": 1}), "colour: "),
    case("unknown role", lambda m: m.add({"role": "emperor", "content": SECRET}), "role: "),
    case("long name", lambda m: m.add({"role": "user", "name": "n" * 256, "content": SECRET}), "name: .*255"),
    case("number of items", lambda m: m.add_many(5), "int"),  # type: ignore[arg-type]
    case("text for items", lambda m: m.add_many(SECRET), "text|str"),
    case("item of a stream", lambda m: m.add_many([7]), "Item 1: .*int"),  # type: ignore[list-item]
    case("number of lines", lambda m: m.import_(5), "int"),  # type: ignore[arg-type]
    case("line of a number", lambda m: m.import_([5]), "Line 1 .*int", ImportFailed),  # type: ignore[list-item]
    case("line of none", lambda m: m.import_(["", None]), "Line 2 .*NoneType", ImportFailed),  # type: ignore[list-item]
    case("line of bytes", lambda m: m.import_([SECRET.encode()]), "Line 1 .*bytes", ImportFailed),  # type: ignore[list-item]
    case("line of an object", lambda m: m.import_([{"content": SECRET}]), "Line 1 .*dict", ImportFailed),  # type: ignore[list-item]
]

ATTRIBUTES = [
    case("unknown kind", lambda m: m.add(SECRET, kind="dream"), "kind: .*episodic"),
    case("unknown keyword", lambda m: m.add(SECRET, colour="red"), "colour: "),  # type: ignore[call-arg]
    case("importance NaN", lambda m: m.add(SECRET, importance=float("nan")), "importance: .*finite"),
    case("importance infinite", lambda m: m.add(SECRET, importance=float("inf")), "importance: "),
    case("importance above one", lambda m: m.add(SECRET, importance=1.01), "importance: .*1"),
    case("importance of text", lambda m: m.add(SECRET, importance="high"), "importance: "),  # type: ignore[arg-type]
    case("pinned as text", lambda m: m.add(SECRET, pinned="yes"), "pinned: "),  # type: ignore[arg-type]
    case("30 February", lambda m: m.add(SECRET, occurred_at="2024-02-30"), "occurred_at: "),
    case("year 10000", lambda m: m.add(SECRET, occurred_at="10000-01-01T00:00:00Z"), "occurred_at: "),
    case("before the year 1", lambda m: m.add(SECRET, occurred_at="0001-01-01T00:00:00+14:00"), "occurred_at: .*years"),
    case("time as NaN", lambda m: m.add(SECRET, occurred_at=float("nan")), "occurred_at: "),  # type: ignore[arg-type]
    case(
        "expiry in the past", lambda m: m.add(SECRET, expires_at=datetime(2001, 1, 1, tzinfo=UTC)), "expires_at.*past"
    ),
    case("scope of white space", lambda m: m.add(SECRET, user_id="  "), "user_id: "),
    case("scope with NUL", lambda m: m.add(SECRET, agent_id="a\0"), "agent_id: .*NUL"),
    case("scope too long", lambda m: m.add(SECRET, run_id="r" * 256), "run_id: .*255"),
    case("scope of a number", lambda m: m.add(SECRET, app_id=5), "app_id: "),  # type: ignore[arg-type]
    case("metadata list", lambda m: m.add(SECRET, metadata=[1]), "metadata: "),  # type: ignore[arg-type]
    case("metadata NaN", lambda m: m.add(SECRET, metadata={"a": [float("nan")]}), "metadata: .*NaN"),
    case("metadata NUL", lambda m: m.add(SECRET, metadata={"a": {"b": "\0"}}), "metadata: .*NUL"),
    case("metadata key NUL", lambda m: m.add(SECRET, metadata={"a": {"\0": 1}}), "metadata: .*NUL"),
    case("metadata surrogate", lambda m: m.add(SECRET, metadata={"a": "\udfff"}), "metadata: .*surrogate"),
    case("metadata of bytes", lambda m: m.add(SECRET, metadata={"a": b"x"}), "metadata"),  # type: ignore[dict-item]
    case("metadata too deep", lambda m: m.add(SECRET, metadata={"a": nested(40)}), "metadata: .*32"),  # type: ignore[dict-item]
    case("metadata far too deep", lambda m: m.add(SECRET, metadata={"a": nested(900)}), "metadata"),  # type: ignore[dict-item]
    case("metadata number too long", lambda m: m.add(SECRET, metadata={"a": 10**5000}), "metadata"),
    case("idempotency key of NUL", lambda m: m.add(SECRET, idempotency_key="\0"), "idempotency key"),
    case("idempotency key empty", lambda m: m.add(SECRET, idempotency_key=""), "idempotency key"),
    case("idempotency key long", lambda m: m.add(SECRET, idempotency_key="k" * 256), "idempotency key"),
    case("idempotency key of a number", lambda m: m.add(SECRET, idempotency_key=5), "idempotency key"),  # type: ignore[arg-type]
    case("idempotency key of bytes", lambda m: m.add(SECRET, idempotency_key=b"k"), "idempotency key"),  # type: ignore[arg-type]
    case("unknown policy", lambda m: m.add(SECRET, on_duplicate="merge"), "on_duplicate.*merge"),
]

READS = [
    case("empty query", lambda m: m.search(""), "query: "),
    case("query of white space", lambda m: m.context(" \n"), "query: "),
    case("query with NUL", lambda m: m.search(f"{SECRET}\0"), "query: .*NUL"),
    case("query with surrogate", lambda m: m.search(f"{SECRET}\udc00"), "query: .*surrogate"),
    case("query too long", lambda m: m.search("q" * 10_001), "query: .*10000"),
    case("query of a number", lambda m: m.search(5), "query: "),  # type: ignore[arg-type]
    case("no hits", lambda m: m.search("q", limit=0), "limit: .*1"),
    case("too many hits", lambda m: m.search("q", limit=101), "limit: .*100"),
    case("limit of text", lambda m: m.list(limit="many"), "limit: "),  # type: ignore[arg-type]
    case("unknown mode", lambda m: m.search("q", mode="psychic"), "mode: .*hybrid"),
    case("unknown order", lambda m: m.list(order="random"), "order: .*newest"),
    case("unknown view", lambda m: m.list(colour="red"), "colour: "),  # type: ignore[call-arg]
    case("explain as text", lambda m: m.search("q", explain="yes"), "explain: "),  # type: ignore[arg-type]
    case("no budget", lambda m: m.context("q", budget=0), "budget: .*16"),
    case("impossible moment", lambda m: m.search("q", as_of="yesterday"), "as_of: "),
    case("known at NaN", lambda m: m.list(known_at=float("nan")), "known_at: "),  # type: ignore[arg-type]
    case("damaged cursor", lambda m: m.list(cursor="cursor"), "cursor", InvalidCursor),
    case("unknown filter", lambda m: m.list(filters={"colour": 1}), "colour", InvalidFilter),
    case("filter of content", lambda m: m.search("q", filters={"content": SECRET}), "content", InvalidFilter),
    case("filter of the tenant", lambda m: m.list(filters={"organization_id": "x"}), "organization_id", InvalidFilter),
    case("unknown operator", lambda m: m.list(filters={"kind": {"like": SECRET}}), "like", InvalidFilter),
    case("filter of text", lambda m: m.list(filters=SECRET), "filters: "),  # type: ignore[arg-type]
    case("filter with NUL", lambda m: m.list(filters={"user_id": "\0"}), "user_id", InvalidFilter),
    case("not an id", lambda m: m.get("42"), "42.*id of a memory"),
    case("id of a number", lambda m: m.history(42), "42"),  # type: ignore[arg-type]
    case("threshold of text", lambda m: m.duplicates(threshold="high"), "threshold"),  # type: ignore[arg-type]
    case("scope to delete", lambda m: m.delete_all(user_id=" "), "user_id"),
]

UPDATES = [
    case("content empty", lambda m: m.update(uuid4(), content=""), "content: "),
    case("content none", lambda m: m.update(uuid4(), content=None), "content"),  # type: ignore[arg-type]
    case("kind none", lambda m: m.update(uuid4(), kind=None), "kind"),  # type: ignore[arg-type]
    case("metadata none", lambda m: m.update(uuid4(), metadata=None), "metadata"),  # type: ignore[arg-type]
    case("importance none", lambda m: m.update(uuid4(), importance=None), "importance"),  # type: ignore[arg-type]
    case("pinned none", lambda m: m.update(uuid4(), pinned=None), "pinned"),  # type: ignore[arg-type]
    case("time none", lambda m: m.update(uuid4(), occurred_at=None), "occurred_at"),  # type: ignore[arg-type]
    case("owner", lambda m: m.update(uuid4(), user_id="mine"), "user_id: "),  # type: ignore[call-arg]
    case("origin", lambda m: m.update(uuid4(), origin="operator"), "origin: "),  # type: ignore[call-arg]
    case("version of text", lambda m: m.update(uuid4(), pinned=True, if_version="1"), "if_version"),  # type: ignore[arg-type]
]

CARE = [
    case("days before the calendar", lambda m: m.vacuum(purge_after_days=1_000_000), "purge_after_days: .*36500"),
    case("days to come", lambda m: m.vacuum(purge_after_days=-1), "purge_after_days: .*0"),
    case("days of text", lambda m: m.vacuum(purge_after_days="x"), "purge_after_days: "),  # type: ignore[arg-type]
    case("repair as text", lambda m: m.doctor(repair="yes"), "repair: "),  # type: ignore[arg-type]
    case("model of a number", lambda m: m.reembed(5), "model: "),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("call,place,error", [*CONTENT, *ATTRIBUTES, *READS, *UPDATES, *CARE])
async def test_bad_input_is_refused_and_nothing_is_stored(
    memory: AsyncMemory, call: Call, place: str, error: type[AgentMemError]
) -> None:
    with pytest.raises(error, match=f"(?s){place}") as caught:
        await call(memory)

    assert type(caught.value) is error
    assert SECRET not in str(caught.value)
    assert len(str(caught.value)) < 2000
    assert (await memory.stats()).versions == 0
    assert (await memory.add("the process goes on")).memories


async def test_update_with_bad_input_leaves_the_memory_as_it_was(memory: AsyncMemory) -> None:
    added = (await memory.add("unharmed")).memories[0]
    for changes, error in (
        ({"content": "x" * (MEBIBYTE + 1)}, ContentTooLarge),
        ({"content": "nul\0"}, InvalidInput),
        ({"importance": float("nan")}, InvalidInput),
        ({"expires_at": datetime.now(UTC) - timedelta(days=1)}, InvalidInput),
        ({"metadata": {"a": "\ud800"}}, InvalidInput),
    ):
        with pytest.raises(error):
            await memory.update(added.id, **changes)

    assert await memory.get(added.id) == added
    assert len(await memory.history(added.id)) == 1


async def test_error_of_the_caller_s_own_stream_reaches_the_caller(memory: AsyncMemory) -> None:
    def stream() -> Iterator[str]:
        yield "one"
        raise OSError("the file has gone")

    with pytest.raises(OSError, match="the file has gone"):
        await memory.add_many(stream())
    assert (await memory.add("the process goes on")).memories


async def test_store_that_is_not_open_says_so(memory: AsyncMemory) -> None:
    closed = AsyncMemory(data_directory="/nowhere")

    with pytest.raises(Closed, match="not open"):
        await closed.add("x")
    with pytest.raises(Closed, match="open already"):
        await memory.open()
    await closed.aclose()


@pytest.mark.parametrize(
    "settings,place",
    [
        ({"colour": "red"}, "colour"),
        ({"pool_size": 0}, "pool_size"),
        ({"linger": "long"}, "linger"),
        ({"organization": ""}, "organization"),
        ({"content_limit": -1}, "content_limit"),
        ({"log_level": "loud"}, "log_level"),
    ],
)
def test_impossible_setting_is_named(settings: dict[str, object], place: str) -> None:
    with pytest.raises(ConfigurationError, match=place):
        AsyncMemory(**settings)


@pytest.mark.parametrize("model", ["no-such-model", "openai:", "/nowhere/model"])
async def test_unknown_model_is_refused(memory: AsyncMemory, model: str) -> None:
    with pytest.raises(ConfigurationError, match="model"):
        await memory.app.models.open(model)


async def test_longest_content_that_is_allowed_is_stored(store: Store) -> None:
    memory = await store.with_embedder(HashEmbedder())
    content = "界" * (MEBIBYTE // 3)
    added = await memory.add(content, on_duplicate="keep")

    assert (await memory.get(added.memories[0].id)).content == content


@pytest.mark.parametrize(
    "content", ["!!!", "😀", "\u200b.", "a\x01\x02b", "the of and", "\ufeffx", "𝔘𝔫𝔦", "a" * 30_000]
)
async def test_odd_but_valid_content_is_stored_as_it_is(memory: AsyncMemory, content: str) -> None:
    added = (await memory.add(content)).memories[0]

    assert (await memory.get(added.id)).content == content
    assert [hit.memory.id for hit in (await memory.search(content[:100])).hits] == [added.id]
