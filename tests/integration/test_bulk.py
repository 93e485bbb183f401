from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator, Iterator

import pytest

from agentmem import AsyncMemory
from agentmem.errors import IntegrityError, InvalidInput
from agentmem.features.memories.near_duplicates import AlikePair
from agentmem.pipelines.ingestion.pipeline import BATCH
from agentmem.schemas.memories import NewMemory, Scope
from tests.support.embedders import HashEmbedder
from tests.support.stores import Owner, Store


@pytest.fixture
async def quick(store: Store) -> AsyncMemory:
    """An organization whose embedder costs nothing."""
    return await store.with_embedder(HashEmbedder())


async def test_any_number_of_texts_is_stored_with_progress(quick: AsyncMemory) -> None:
    steps: list[int] = []
    number = 2 * BATCH + 17
    result = await quick.add_many((f"note {n}" for n in range(number)), progress=steps.append, user_id="u")

    assert (result.added, result.duplicates) == (number, 0)
    assert sum(steps) == number
    assert len(steps) == 3
    assert (await quick.stats(user_id="u")).memories == number


async def test_asynchronous_stream_is_stored(quick: AsyncMemory) -> None:
    async def stream() -> AsyncIterator[str]:
        for number in range(5):
            yield f"event {number}"

    assert (await quick.add_many(stream())).added == 5


async def test_stream_is_read_no_further_than_needed(quick: AsyncMemory) -> None:
    read: list[int] = []
    stored: list[int] = []

    def stream() -> Iterator[str]:
        for number in range(4 * BATCH):
            read.append(number)
            yield f"row {number}"

    def note(size: int) -> None:
        stored.append(size)
        assert len(read) <= sum(stored) + BATCH + 1

    await quick.add_many(stream(), progress=note)
    assert sum(stored) == 4 * BATCH


async def test_bulk_add_counts_duplicates_of_the_store_and_of_itself(quick: AsyncMemory) -> None:
    await quick.add("known")
    result = await quick.add_many(["known", "new", "new", "newer"])

    assert (result.added, result.duplicates) == (2, 2)


async def test_batches_before_a_bad_item_are_stored_and_the_item_is_named(quick: AsyncMemory) -> None:
    items = [*(f"good {n}" for n in range(BATCH + 10)), " ", "never read"]
    with pytest.raises(InvalidInput, match=f"Item {BATCH + 11}: .*content") as caught:
        await quick.add_many(items)

    assert "stored" in str(caught.value)
    assert (await quick.stats()).memories == BATCH


async def test_turns_of_a_conversation_stay_neighbours_across_batches(store: Store) -> None:
    memory = await store.organization()
    filler = [f"filler {n}" for n in range(BATCH - 1)]
    talk = [
        {"role": "user", "name": "Mia", "content": "What is the name of your parrot?"},
        {"role": "user", "name": "Leo", "content": "Captain, as you know!"},
    ]
    await memory.add_many([*filler, *talk])
    hits = (await memory.search("What is the name of Leo's parrot?", limit=2)).hits

    assert {hit.memory.content for hit in hits} == {turn["content"] for turn in talk}


async def test_items_of_a_bulk_add_may_have_attributes_of_their_own(quick: AsyncMemory) -> None:
    await quick.add_many(
        [{"content": "own", "user_id": "own", "importance": 1}, NewMemory(content="typed"), "common"],
        user_id="common",
        metadata={"from": "call"},
    )
    found = {record.content: record for record in (await quick.list()).items}

    assert (found["own"].user_id, found["own"].importance, found["own"].metadata) == ("own", 1, {"from": "call"})
    assert (found["typed"].user_id, found["typed"].metadata) == (None, {})
    assert found["common"].user_id == "common"


async def test_empty_stream_adds_nothing(quick: AsyncMemory) -> None:
    result = await quick.add_many([])

    assert (result.added, result.duplicates) == (0, 0)


async def test_near_duplicates_are_reported_the_most_alike_first(memory: AsyncMemory) -> None:
    await memory.add(
        [
            "The meeting is on Monday at nine",
            "The meeting is on Monday at nine o'clock",
            "The meeting is on Monday, at 9",
            "Bananas are rich in potassium",
        ],
        user_id="u",
    )
    await memory.add("The meeting is on Monday at nine", user_id="v")
    found = await memory.duplicates(threshold=0.9, user_id="u")
    similarities = [pair.similarity for pair in found]

    assert found
    assert similarities == sorted(similarities, reverse=True)
    assert all(0.9 <= similarity <= 1 for similarity in similarities)
    assert all("meeting" in pair.first.content and "meeting" in pair.second.content for pair in found)
    assert {pair.first.user_id for pair in found} | {pair.second.user_id for pair in found} == {"u"}
    assert all(pair.first.id != pair.second.id for pair in found)


async def test_deleted_memory_is_no_near_duplicate(memory: AsyncMemory) -> None:
    twins = await memory.add([{"role": "user", "content": "same words"}] * 2)
    assert [pair.similarity for pair in await memory.duplicates()] == [pytest.approx(1, abs=1e-3)]
    await memory.delete(twins.memories[0].id)

    assert await memory.duplicates() == []


@pytest.mark.parametrize("threshold", [0, -1, 1.01, float("nan")])
async def test_impossible_threshold_is_refused(memory: AsyncMemory, threshold: float) -> None:
    with pytest.raises(InvalidInput, match="threshold"):
        await memory.duplicates(threshold=threshold)


async def test_memory_that_changes_while_vectors_are_compared_is_passed_over(memory: AsyncMemory) -> None:
    turns = (await memory.add([{"role": "user", "content": "same words"}] * 4)).memories
    stored, caller = memory.app.duplicates.stored, memory.app.caller
    vectors = await stored.vectors(caller, Scope())
    await memory.delete(turns[0].id)
    await memory.update(turns[1].id, content="other words")
    alike = [
        AlikePair(first=vectors.at(first), second=vectors.at(second), similarity=1.0)
        for first in range(4)
        for second in range(first + 1, 4)
    ]
    (pair,) = await stored.pairs(caller, Scope(), alike)

    assert {pair.first.id, pair.second.id} == {turns[2].id, turns[3].id}


async def test_scope_of_nobody_has_no_near_duplicates(memory: AsyncMemory) -> None:
    assert await memory.duplicates(user_id="nobody") == []


async def test_vector_that_is_damaged_is_an_error_that_names_the_doctor(memory: AsyncMemory, owner: Owner) -> None:
    await memory.add(["one", "two"])
    owner.execute(
        "UPDATE agentmem.vectors SET embedding = '[1,0,0]' WHERE organization_id = %s AND place = "
        "(SELECT min(place) FROM agentmem.vectors WHERE organization_id = %s)",
        [memory.app.caller.organization_id] * 2,
    )

    with pytest.raises(IntegrityError, match="differ in length"):
        await memory.duplicates()


async def test_many_equal_texts_do_not_fill_the_memory(store: Store) -> None:
    memory = await store.with_embedder(HashEmbedder())
    await memory.add_many(["ok"] * 3000, on_duplicate="keep", user_id="u")
    tracemalloc.start()
    found = await memory.duplicates(user_id="u")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(found) == 1000
    assert peak < 128 * 2**20


async def test_scope_with_more_vectors_than_fit_is_refused(memory: AsyncMemory, owner: Owner) -> None:
    """The vectors of 6,300 memories by a model of 4,000 dimensions, written as copies of one."""
    (record,) = (await memory.add("one", user_id="u")).memories
    names = {"id": record.id, "number": 6300, "organization": memory.app.caller.organization_id}
    owner.execute(
        "INSERT INTO agentmem.memories SELECT (jsonb_populate_record(m, jsonb_build_object("
        "'memory_id', gen_random_uuid(), 'place', m.place + (n::bigint << 20)))).* "
        "FROM agentmem.memories m, generate_series(1, %(number)s) n WHERE memory_id = %(id)s",
        names,
    )
    owner.execute(
        "INSERT INTO agentmem.vectors SELECT organization_id, model, place + (n::bigint << 20), user_id, live, graph, "
        "array_fill(0.01::real, ARRAY[4000])::vector::halfvec FROM agentmem.vectors, generate_series(1, %(number)s) n "
        "WHERE organization_id = %(organization)s",
        names,
    )

    with pytest.raises(InvalidInput, match="too many memories"):
        await memory.duplicates(user_id="u")
