"""A search with a reranker: its order, its score, and what is left when it fails or is late."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from uuid import uuid4

import pytest

from agentmem import AsyncMemory
from agentmem.errors import ConfigurationError
from agentmem.schemas.memories import SearchMode, SearchResults
from tests.support.rerank_vendor import KEY, RerankVendor, rerank_vendor
from tests.support.stores import Store

DEPTH = 5


@pytest.fixture
def vendor() -> Iterator[RerankVendor]:
    with rerank_vendor() as running:
        yield running


def opening(store: Store, vendor: RerankVendor, **settings: object) -> AbstractAsyncContextManager[AsyncMemory]:
    return AsyncMemory(
        data_directory=store.directory,
        linger=0.5,
        **{
            "organization": f"test-{uuid4().hex}",
            "reranker": "words",
            "reranker_url": vendor.url,
            "reranker_key": KEY,
            "reranker_depth": DEPTH,
            **settings,
        },
    )


@pytest.fixture
async def memory(store: Store, vendor: RerankVendor) -> AsyncIterator[AsyncMemory]:
    async with opening(store, vendor) as opened:
        await opened.add_many([f"the ferry number {number} left the harbour" for number in range(12)])
        yield opened


def texts(found: SearchResults) -> list[str]:
    return [hit.memory.content for hit in found.hits]


async def without(memory: AsyncMemory, vendor: RerankVendor, query: str, limit: int = 10) -> SearchResults:
    """Search while the vendor fails: in the order of the fusion."""
    vendor.status = 500
    found = await memory.search(query, limit=limit, explain=True)
    vendor.status = 200
    return found


async def test_best_hits_come_in_the_order_of_the_reranker_and_the_rest_follow_as_they_were(
    memory: AsyncMemory, vendor: RerankVendor
) -> None:
    before = texts(await without(memory, vendor, "the ferry", 12))
    vendor.prefers = before[3]
    after = texts(await memory.search("the ferry", limit=12))

    assert after == [before[3], *before[:3], *before[4:]]


async def test_memory_beyond_the_limit_is_found_when_the_reranker_puts_it_first(
    memory: AsyncMemory, vendor: RerankVendor
) -> None:
    last = texts(await without(memory, vendor, "the ferry", DEPTH))[-1]
    vendor.bodies.clear()
    vendor.prefers = last

    assert texts(await memory.search("the ferry", limit=1)) == [last]
    assert len(vendor.bodies[0]["documents"]) == DEPTH


@pytest.mark.parametrize("scale", [1.0, -7.0, 1000.0])
async def test_scores_stay_between_0_and_1_and_fall_whatever_the_scale_of_the_reranker(
    memory: AsyncMemory, vendor: RerankVendor, scale: float
) -> None:
    vendor.scale = scale
    found = await memory.search("ferry number 7", limit=12, explain=True)
    scores = [hit.score for hit in found.hits]

    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert found.degraded is None
    for place, hit in enumerate(found.hits):
        assert hit.signals is not None
        assert ("reranker" in hit.signals) is (place < DEPTH)
        assert sum(signal.contribution for signal in hit.signals.values()) == pytest.approx(hit.score, abs=1e-5)


async def test_reranker_reads_the_speaker_before_the_text(memory: AsyncMemory, vendor: RerankVendor) -> None:
    await memory.add([{"role": "user", "name": "Ines", "content": "we took the ferry home"}])
    await memory.search("took the ferry home")

    assert "Ines: we took the ferry home" in vendor.bodies[-1]["documents"]


async def test_failing_reranker_leaves_the_order_of_the_fusion(memory: AsyncMemory, vendor: RerankVendor) -> None:
    async with AsyncMemory(
        data_directory=memory.app.settings.data_directory, organization=memory.app.settings.organization, linger=0.5
    ) as plain:
        expected = await plain.search("ferry number 3", explain=True)
    found = await without(memory, vendor, "ferry number 3")

    assert found.hits == expected.hits
    assert (found.degraded, expected.degraded) == ("reranker", None)


async def test_late_reranker_leaves_the_order_of_the_fusion(
    store: Store, memory: AsyncMemory, vendor: RerankVendor
) -> None:
    expected = await without(memory, vendor, "ferry number 3")
    vendor.hold.clear()
    async with opening(
        store, vendor, organization=memory.app.settings.organization, reranker_deadline=0.05
    ) as impatient:
        found = await impatient.search("ferry number 3", explain=True)

    assert (found.hits, found.degraded) == (expected.hits, "reranker")
    assert found.timings.rerank_ms > 0


@pytest.mark.parametrize("answer", [b"<html>", b'{"results": []}', b'{"results": [{"index": 0}]}'])
async def test_reranker_that_talks_nonsense_leaves_the_order_of_the_fusion(
    memory: AsyncMemory, vendor: RerankVendor, answer: bytes
) -> None:
    expected = await without(memory, vendor, "ferry number 3")
    vendor.answer = answer
    found = await memory.search("ferry number 3", explain=True)

    assert (found.hits, found.degraded) == (expected.hits, "reranker")


async def test_context_packs_what_the_reranker_puts_first_and_says_when_it_failed(
    memory: AsyncMemory, vendor: RerankVendor
) -> None:
    last = texts(await without(memory, vendor, "the ferry", DEPTH))[-1]
    vendor.prefers = last
    packed = await memory.context("the ferry", budget=28)

    assert (last in packed.text, len(packed.citations), packed.degraded) == (True, 1, None)
    vendor.status = 500
    packed = await memory.context("the ferry", budget=28)
    assert (last in packed.text, len(packed.citations), packed.degraded) == (False, 1, "reranker")


@pytest.mark.parametrize("mode", [SearchMode.LEXICAL, SearchMode.SEMANTIC])
async def test_search_by_one_kind_of_signal_asks_no_reranker(
    memory: AsyncMemory, vendor: RerankVendor, mode: SearchMode
) -> None:
    assert (await memory.search("the ferry", mode=mode)).hits
    assert vendor.bodies == []


async def test_search_that_finds_nothing_asks_no_reranker(store: Store, vendor: RerankVendor) -> None:
    async with opening(store, vendor) as empty:
        found = await empty.search("anything")
    assert (found.hits, found.degraded, vendor.bodies) == ([], None, [])


async def test_reranker_without_an_address_is_refused_when_the_store_is_opened(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="AGENTMEM_RERANKER_URL"):
        await AsyncMemory(data_directory=store.directory, linger=0.5, reranker="words").open()
