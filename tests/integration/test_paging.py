from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentmem import AsyncMemory
from agentmem.errors import InvalidCursor
from agentmem.schemas.memories import MemoryRecord, Order
from tests.support.embedders import HashEmbedder
from tests.support.filter_oracle import passes
from tests.support.stores import Store

START = datetime(2024, 1, 1, tzinfo=UTC)
KEYS = {
    Order.NEWEST: ("created_at", True),
    Order.OLDEST: ("created_at", False),
    Order.LATEST_OCCURRED: ("occurred_at", True),
    Order.EARLIEST_OCCURRED: ("occurred_at", False),
}


async def read_all(memory: AsyncMemory, limit: int, **view: object) -> list[MemoryRecord]:
    found: list[MemoryRecord] = []
    cursor = None
    while True:
        page = await memory.list(limit=limit, cursor=cursor, **view)  # type: ignore[arg-type]  # tests hand the view on
        assert len(page.items) <= limit
        found += page.items
        assert len({record.id for record in found}) == len(found)
        cursor = page.next_cursor
        if cursor is None:
            return found
        assert len(page.items) == limit


def in_order(records: Sequence[MemoryRecord], order: Order) -> list[MemoryRecord]:
    field, descending = KEYS[order]
    return sorted(records, key=lambda record: (getattr(record, field), record.id), reverse=descending)


@pytest.mark.parametrize("order", list(Order))
async def test_list_is_in_the_order_that_was_asked_for(memory: AsyncMemory, order: Order) -> None:
    for number in (5, 1, 3, 3, 9):
        item = {"content": f"day {number}", "occurred_at": START + timedelta(days=number)}
        await memory.add([item, item], on_duplicate="keep")
    everything = (await memory.list(order=order)).items

    assert len(everything) == 10
    assert everything == in_order(everything, order)
    for limit in (1, 3, 10):
        assert await read_all(memory, limit, order=order) == everything


@given(
    days=st.lists(st.integers(0, 4), min_size=1, max_size=25),
    limit=st.integers(1, 9),
    order=st.sampled_from(list(Order)),
    added=st.lists(st.lists(st.integers(0, 4), max_size=3), max_size=8),
)
async def test_pages_have_no_gap_and_no_repeat_while_memories_are_added(
    store: Store, days: list[int], limit: int, order: Order, added: list[list[int]]
) -> None:
    memory = await store.with_embedder(HashEmbedder())
    before = await add_days(memory, days)
    read: list[MemoryRecord] = []
    waiting = list(added)
    cursor = None
    while True:
        page = await memory.list(limit=limit, order=order, cursor=cursor)
        read += page.items
        assert len({record.id for record in read}) == len(read)
        cursor = page.next_cursor
        if cursor is None:
            break
        if waiting:
            await add_days(memory, waiting.pop())
    ids = [record.id for record in read]

    assert {record.id for record in before} <= set(ids)
    assert read == in_order(read, order)


async def add_days(memory: AsyncMemory, days: Sequence[int]) -> list[MemoryRecord]:
    items = [{"content": f"day {day}", "occurred_at": START + timedelta(days=day)} for day in days]
    return (await memory.add(items, on_duplicate="keep")).memories if items else []


@settings(max_examples=30)
@given(deleted=st.sets(st.integers(0, 11)), limit=st.integers(1, 5))
async def test_pages_have_no_gap_while_memories_are_deleted(store: Store, deleted: set[int], limit: int) -> None:
    memory = await store.with_embedder(HashEmbedder())
    records = await add_days(memory, range(12))
    first = await memory.list(limit=limit, order="oldest")
    for number in deleted:
        await memory.delete(records[number].id)
    rest: list[MemoryRecord] = []
    cursor = first.next_cursor
    while cursor is not None:
        page = await memory.list(limit=limit, order="oldest", cursor=cursor)
        rest += page.items
        cursor = page.next_cursor

    assert [record.id for record in rest] == [
        record.id for number, record in enumerate(records) if number >= limit and number not in deleted
    ]


async def test_filters_and_scope_hold_on_every_page(memory: AsyncMemory) -> None:
    for number in range(24):
        await memory.add(
            f"note {number}", user_id=f"u{number % 2}", metadata={"n": number}, kind="core" if number % 3 else "working"
        )
    view = {"user_id": "u0", "filters": {"metadata.n": {"gte": 6}, "kind": "core"}}
    found = await read_all(memory, 2, order="oldest", **view)

    assert [record.metadata["n"] for record in found] == [8, 10, 14, 16, 20, 22]


async def test_cursor_belongs_to_its_query(memory: AsyncMemory) -> None:
    await memory.add(["a", "b", "c"], user_id="u")
    cursor = (await memory.list(user_id="u", limit=1)).next_cursor
    assert cursor is not None

    for changed in (
        {"user_id": "v"},
        {},
        {"user_id": "u", "order": "oldest"},
        {"user_id": "u", "filters": {"kind": "core"}},
        {"user_id": "u", "as_of": START},
    ):
        with pytest.raises(InvalidCursor, match="another query"):
            await memory.list(cursor=cursor, **changed)


@pytest.mark.parametrize("damaged", ["", "x", "é", "####", "W10", "bnVsbA", "e30", "WyJ4Il0", "A" * 4000])
async def test_damaged_cursor_is_refused(memory: AsyncMemory, damaged: str) -> None:
    await memory.add(["a", "b"])
    with pytest.raises(InvalidCursor):
        await memory.list(cursor=damaged)


async def test_cursor_changed_in_one_place_never_reaches_another_scope(store: Store, memory: AsyncMemory) -> None:
    other = await store.organization()
    await other.add(["theirs 1", "theirs 2"])
    await memory.add(["mine 1", "mine 2", "mine 3"])
    cursor = (await memory.list(limit=1)).next_cursor
    assert cursor is not None

    for position in range(len(cursor)):
        changed = cursor[:position] + ("A" if cursor[position] != "A" else "B") + cursor[position + 1 :]
        try:
            page = await memory.list(limit=10, cursor=changed)
        except InvalidCursor:
            continue
        assert all(record.content.startswith("mine") for record in page.items)


NAMES = st.sampled_from(["ann", "bob", "eve"])
VALUES = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from(["x", "y", "Xy"]))
RECORDS = st.fixed_dictionaries(
    {
        "user_id": st.none() | NAMES,
        "agent_id": st.none() | NAMES,
        "kind": st.sampled_from(["episodic", "core"]),
        "importance": st.sampled_from([0.0, 0.25, 1.0]),
        "pinned": st.booleans(),
        "metadata": st.dictionaries(st.sampled_from(["a", "b"]), VALUES, max_size=2),
    }
)
COMPARISONS = st.one_of(
    st.fixed_dictionaries({"kind": st.sampled_from(["episodic", "core"])}),
    st.fixed_dictionaries({"importance": st.fixed_dictionaries({"gte": st.sampled_from([0.1, 0.25, 1.0])})}),
    st.fixed_dictionaries({"pinned": st.booleans()}),
    st.fixed_dictionaries({"user_id": st.fixed_dictionaries({"ne": NAMES})}),
    st.fixed_dictionaries({"agent_id": st.fixed_dictionaries({"in": st.lists(NAMES, min_size=1, max_size=2)})}),
    st.fixed_dictionaries({"metadata.a": st.fixed_dictionaries({"eq": VALUES})}),
    st.fixed_dictionaries({"metadata.b": st.fixed_dictionaries({"exists": st.booleans()})}),
)
FILTERS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"not": inner}),
        st.fixed_dictionaries({"or": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"and": st.lists(inner, min_size=1, max_size=3)}),
    ),
    max_leaves=4,
)


@given(
    rows=st.lists(RECORDS, min_size=1, max_size=15),
    filters=FILTERS,
    user_id=st.none() | NAMES,
    mode=st.sampled_from(["hybrid", "lexical", "semantic"]),
)
async def test_search_and_list_give_exactly_what_scope_and_filter_allow(
    store: Store, rows: list[dict[str, object]], filters: dict[str, object], user_id: str | None, mode: str
) -> None:
    memory = await store.with_embedder(HashEmbedder())
    added = await memory.add([{**row, "content": "the same words"} for row in rows], on_duplicate="keep")
    allowed = {
        record.id
        for record in added.memories
        if user_id in {None, record.user_id} and passes(filters, record.model_dump())
    }
    view = {"filters": filters, "user_id": user_id}
    listed = await memory.list(**view)  # type: ignore[arg-type]
    found = await memory.search("the same words", limit=100, mode=mode, **view)  # type: ignore[arg-type]

    assert {record.id for record in listed.items} == allowed
    assert {hit.memory.id for hit in found.hits} == allowed
