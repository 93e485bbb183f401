"""The indexes behind a search: whatever way is taken, it finds what comparing everything would find."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from agentmem import AsyncMemory
from agentmem.features.memories.index_reading import EXACT_SCOPE
from agentmem.schemas.memories import SearchMode
from tests.support.embedders import HashEmbedder
from tests.support.stores import Owner, Store

GROUPS = 100
SMALL = 1_000
LARGE = EXACT_SCOPE + 500
WORDS = [f"w{number}" for number in range(400)]
QUERIES = 25


def make_texts(number: int) -> list[str]:
    """Make texts of ten words each, so that some are near to each other and most are not."""
    chance = np.random.default_rng(7)
    return [
        " ".join([f"id{item}", *(WORDS[word] for word in chance.zipf(1.3, 9) % len(WORDS))]) for item in range(number)
    ]


class Collection:
    """An organization full of texts, and their vectors beside it."""

    def __init__(self, memory: AsyncMemory, embedder: HashEmbedder, texts: list[str]) -> None:
        self.memory = memory
        self.texts = texts
        self._embedder = embedder
        self._matrix = np.stack([embedder._embed(text).pooled for text in texts])

    def nearest(self, query: str, rows: NDArray[np.int64], limit: int = 10) -> set[str]:
        """Compare everything, as the oracle; rows as near as the last one count too."""
        similarities = self._matrix[rows] @ self._embedder._embed(query).pooled
        bound = np.sort(similarities)[-limit] - 1e-3
        return {self.texts[row] for row in rows[similarities >= bound]}

    async def recall(self, rows: NDArray[np.int64], **view: object) -> float:
        """Say which share of the first ten hits is among the nearest, over queries made of known words."""
        chance = np.random.default_rng(11)
        right = 0
        for _ in range(QUERIES):
            query = " ".join(WORDS[word] for word in chance.integers(0, 60, 4))
            hits = (await self.memory.search(query, mode=SearchMode.SEMANTIC, limit=10, **view)).hits  # type: ignore[arg-type]
            right += len({hit.memory.content for hit in hits} & self.nearest(query, rows))
        return right / (10 * QUERIES)


async def collect(store: Store, number: int) -> Collection:
    embedder = HashEmbedder(f"indexed-{number}@1", 384)
    memory = await store.with_embedder(embedder)
    texts = make_texts(number)
    await memory.add_many(
        [{"content": text, "metadata": {"group": item % GROUPS}} for item, text in enumerate(texts)], user_id="u"
    )
    return Collection(memory, embedder, texts)


@pytest.fixture(scope="module")
async def small(store: Store) -> Collection:
    """A scope that is compared as a whole."""
    return await collect(store, SMALL)


@pytest.fixture(scope="module")
async def large(store: Store) -> Collection:
    """A scope whose vectors are in the graph, but for a tail."""
    collection = await collect(store, LARGE)
    await collection.memory.app.upkeep.tidy(collection.memory.app.caller)
    return collection


async def test_small_scope_is_searched_exactly(small: Collection) -> None:
    rows = np.arange(SMALL)

    assert await small.recall(rows) >= 0.98
    assert await small.recall(rows, user_id="u") >= 0.98


@pytest.mark.parametrize("group", [0, 42])
async def test_filter_that_keeps_one_percent_is_searched_exactly(small: Collection, group: int) -> None:
    rows = np.arange(group, SMALL, GROUPS)

    assert await small.recall(rows, filters={"metadata.group": group}) >= 0.98


async def test_large_scope_is_searched_nearly_exactly(large: Collection, owner: Owner) -> None:
    moved = owner.execute(
        "SELECT count(*) FROM agentmem.vectors WHERE organization_id = %s AND graph IS NOT NULL",
        [large.memory.app.caller.organization_id],
    ).fetchone()

    assert moved == (LARGE,)
    assert owner.execute(
        "SELECT graph_width IS NOT NULL, graph_vectors FROM agentmem.index_settings WHERE organization_id = %s",
        [large.memory.app.caller.organization_id],
    ).fetchone() == (True, LARGE)
    assert await large.recall(np.arange(LARGE), user_id="u") >= 0.98
    assert await large.recall(np.arange(42, LARGE, GROUPS), filters={"metadata.group": 42}) >= 0.98


async def test_word_of_one_memory_in_a_large_scope_is_found(large: Collection) -> None:
    for number in (0, LARGE // 2, LARGE - 1):
        for mode in (SearchMode.LEXICAL, SearchMode.HYBRID):
            hits = (await large.memory.search(f"id{number}", mode=mode, user_id="u")).hits
            assert large.texts[number] in {hit.memory.content for hit in hits}


async def test_packed_postings_give_the_same_answers_as_loose_ones(store: Store, owner: Owner) -> None:
    memory = await store.with_embedder(HashEmbedder())
    for number in range(60):
        await memory.add(f"shared words and id{number}", user_id="u")
    queries = ["shared", "words id7", "shared words and id59"]
    before = [(await memory.search(query, mode="lexical", limit=100)).hits for query in queries]
    rows = "SELECT count(*) FROM agentmem.postings WHERE organization_id = %s"
    loose = owner.execute(rows.encode(), [memory.app.caller.organization_id]).fetchone()
    await memory.app.upkeep.tidy(memory.app.caller)
    packed = owner.execute(rows.encode(), [memory.app.caller.organization_id]).fetchone()
    await memory.add("shared words again", user_id="u")
    after = [(await memory.search(query, mode="lexical", limit=100)).hits for query in queries]

    assert loose is not None
    assert packed is not None
    assert int(str(packed[0])) < int(str(loose[0]))
    for earlier, later in zip(before, after, strict=True):
        assert {hit.memory.id for hit in earlier} <= {hit.memory.id for hit in later}
        assert len(later) <= len(earlier) + 1
    assert (await memory.doctor()).healthy


async def test_purged_memories_are_gone_from_every_index(store: Store, owner: Owner) -> None:
    memory = await store.with_embedder(HashEmbedder())
    kept = (await memory.add("kept words", user_id="u")).memories[0]
    gone = (await memory.add("purged words", user_id="u")).memories[0]
    await memory.delete(gone.id)

    assert await memory.app.upkeep.purge(memory.app.caller, 1) == 0
    assert await memory.app.upkeep.purge(memory.app.caller, 0) == 1
    for table in ("memories", "index_entries", "vectors"):
        left = owner.execute(
            f"SELECT count(*) FROM agentmem.{table} WHERE organization_id = %s".encode(),
            [memory.app.caller.organization_id],
        ).fetchone()
        assert left == (1,)
    assert [hit.memory.id for hit in (await memory.search("words purged", limit=10)).hits] == [kept.id]
    assert (await memory.doctor()).healthy


async def test_what_comes_beside_a_graph_is_moved_into_it_soon(large: Collection, owner: Owner) -> None:
    """The last test of the large store: it leaves more in it."""
    outside = "SELECT count(*) FROM agentmem.vectors WHERE organization_id = %s AND graph IS NULL"
    organization_id = large.memory.app.caller.organization_id
    for added, left in ((499, 499), (1, 0)):
        await large.memory.add_many((f"late {added} {number}" for number in range(added)), user_id="late")
        await large.memory.app.upkeep.look_after(large.memory.app.caller)
        assert owner.execute(outside.encode(), [organization_id]).fetchone() == (left,)
