"""Changing the embedding model: searches stay right before, meanwhile and after, in every process."""

from __future__ import annotations

import asyncio

import pytest

from agentmem import AsyncMemory
from agentmem.errors import Conflict, EmbedderUnavailable
from agentmem.foundation.inference.port import Embedder
from agentmem.schemas.memories import SearchMode
from tests.support.embedders import FlakyEmbedder, HashEmbedder
from tests.support.stores import Owner, Store

NUMBER = 40
FRUIT = ("apple", "pear", "plum", "cherry", "mango", "lemon", "grape", "melon")


async def open_fake(name: str) -> Embedder:
    """Load a fake model by its name, of another length for each."""
    return HashEmbedder(name, 32 if name.startswith("small") else 64)


@pytest.fixture
async def orchard(store: Store) -> AsyncMemory:
    memory = await store.with_embedder(HashEmbedder("small@1", 32), open_fake)
    await memory.add_many([f"{FRUIT[n % 8]} tree number {n} stands in row {n // 8}" for n in range(NUMBER)])
    return memory


async def is_right(memory: AsyncMemory, number: int) -> bool:
    """Search for one memory in every mode."""
    text = f"{FRUIT[number % 8]} tree number {number} stands in row {number // 8}"
    answers = [(await memory.search(text, limit=1, mode=mode)).hits for mode in SearchMode]
    return [hit.memory.content for hits in answers for hit in hits] == [text] * len(answers)


def models_of(owner: Owner, memory: AsyncMemory) -> list[tuple[object, ...]]:
    return owner.execute(
        "SELECT model, count(*) FROM agentmem.vectors WHERE organization_id = %s GROUP BY model",
        [memory.app.caller.organization_id],
    ).fetchall()


async def test_searches_are_right_after_the_model_was_changed(orchard: AsyncMemory, owner: Owner) -> None:
    steps: list[int] = []
    result = await orchard.reembed("large@1", progress=steps.append)

    assert (result.model, result.embedded, sum(steps)) == ("large@1", NUMBER, NUMBER)
    assert models_of(owner, orchard) == [("large@1", NUMBER)]
    assert all([await is_right(orchard, number) for number in range(0, NUMBER, 7)])
    assert (await orchard.doctor()).healthy


async def test_searches_stay_right_while_the_model_is_changed(store: Store, orchard: AsyncMemory) -> None:
    other = store.another_process(orchard, HashEmbedder("small@1", 32), open_fake)
    change = asyncio.create_task(orchard.reembed("large@1"))
    asked = 0
    while not change.done() or asked < 5:
        assert await is_right(other, asked % NUMBER)
        asked += 1
    await change

    assert await is_right(orchard, 3)
    assert other.app.models.current.model == "large@1"


async def test_memory_added_by_the_old_model_meanwhile_is_embedded_too(
    store: Store, orchard: AsyncMemory, owner: Owner
) -> None:
    other = store.another_process(orchard, HashEmbedder("small@1", 32), open_fake)
    await orchard.reembed("large@1")
    await other.add("a late quince tree")

    assert "a late quince tree" in {hit.memory.content for hit in (await orchard.search("quince", limit=100)).hits}
    await orchard.app.upkeep.fill_pending(orchard.app.caller)
    found = (await orchard.search("late quince tree", mode="semantic", limit=1)).hits
    assert [hit.memory.content for hit in found] == ["a late quince tree"]
    assert ("large@1", NUMBER + 1) in models_of(owner, orchard)


async def test_change_that_was_interrupted_goes_on_where_it_stopped(store: Store, owner: Owner) -> None:
    failing = FlakyEmbedder(HashEmbedder("large@1", 64))

    async def opener(name: str) -> Embedder:
        return failing if name == "large@1" else HashEmbedder(name, 32)

    memory = await store.with_embedder(HashEmbedder("small@1", 32), opener)
    await memory.add_many([f"note {number}" for number in range(600)])

    def fail_after_the_first_batch(_size: int) -> None:
        failing.down = True

    with pytest.raises(EmbedderUnavailable):
        await memory.reembed("large@1", progress=fail_after_the_first_batch)
    assert (await memory.search("note 599", limit=1, mode="semantic")).hits[0].memory.content == "note 599"
    failing.down = False
    result = await memory.reembed("large@1")

    assert 0 < result.embedded < 600
    assert models_of(owner, memory) == [("large@1", 600)]
    assert (await memory.search("note 599", limit=1, mode="semantic")).hits[0].memory.content == "note 599"


async def test_two_processes_do_not_change_the_model_at_once(store: Store, orchard: AsyncMemory) -> None:
    caretaker = orchard.app.upkeep.caretaker
    async with caretaker.sole(orchard.app.caller.organization_id, "changing the embedding model"):
        with pytest.raises(Conflict):
            await orchard.reembed("large@1")

    assert await is_right(orchard, 5)


async def test_earlier_knowledge_is_searched_by_the_new_model_too(orchard: AsyncMemory) -> None:
    added = (await orchard.add("the gardener is called Rosa")).memories[0]
    await orchard.update(added.id, content="the gardener is called Hugo")
    await orchard.reembed("large@1")
    hits = (await orchard.search("gardener Rosa", known_at=added.created_at, mode="semantic", limit=1)).hits

    assert [hit.memory.content for hit in hits] == ["the gardener is called Rosa"]


async def test_model_of_the_store_outlives_the_process_that_chose_it(store: Store, orchard: AsyncMemory) -> None:
    await orchard.reembed("large@1")
    other = store.another_process(orchard, HashEmbedder("small@1", 32), open_fake)

    assert await is_right(other, 11)
    assert other.app.models.current.model == "large@1"
