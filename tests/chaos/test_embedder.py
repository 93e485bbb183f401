"""The endpoint of the embedding model fails, or hangs: what needs no model goes on, and what lacks it says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from pydantic import SecretStr

from agentmem import AsyncMemory
from agentmem.errors import EmbedderUnavailable
from agentmem.foundation.inference.endpoint import EMBEDDER
from agentmem.foundation.inference.remote import OpenAICompatibleEmbedder, RemoteModel
from agentmem.foundation.resilience.breaker import BreakerRules, BreakerState
from agentmem.foundation.resilience.guarded import Guarded
from tests.support.embedding_vendor import DIMENSIONS, KEY, Vendor, embedding_vendor
from tests.support.patience import eventually
from tests.support.served import api
from tests.support.stores import Store

HANGING = 30
"""Calls that need the model at once: more than a process has connections to the database."""


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with embedding_vendor() as running:
        yield running


@pytest.fixture
def guarded() -> Guarded:
    """The guards of an embedder that is tried again sooner than a minute after."""
    return Guarded(replace(EMBEDDER, breaker=replace(EMBEDDER.breaker, open_seconds=0.5)))


@pytest.fixture
async def memory(store: Store, vendor: Vendor, guarded: Guarded) -> AsyncIterator[AsyncMemory]:
    remote = RemoteModel(name="words", dimensions=DIMENSIONS, base_url=vendor.url, api_key=SecretStr(KEY))
    embedder = OpenAICompatibleEmbedder.open(remote, guarded)
    yield await store.with_embedder(embedder)
    await embedder.aclose()


@pytest.mark.parametrize("status", [500, 503, 401])
async def test_while_the_embedder_fails_memories_are_stored_and_found_by_words_and_say_so(
    memory: AsyncMemory, vendor: Vendor, status: int
) -> None:
    await memory.add("the heron stands in the reeds")
    vendor.status = status
    async with api(memory) as client:
        for number in range(6):
            added = await client.post("/v1/memories", json={"content": f"heron number {number}"})
            assert (added.status_code, added.json()["pending"]) == (201, True)
            found = await client.post("/v1/memories/search", json={"query": f"heron number {number}"})
            assert (found.status_code, found.json()["degraded"]) == (200, "embedder")
            assert found.json()["hits"][0]["memory"]["content"] == f"heron number {number}"
            packed = await client.post("/v1/context", json={"query": "heron", "budget": 100})
            assert (packed.status_code, packed.json()["degraded"]) == (200, "embedder")
            refused = await client.post("/v1/memories/search", json={"query": "heron", "mode": "semantic"})
            assert (refused.status_code, refused.json()["code"]) == (503, "embedder_unavailable")
            assert int(refused.headers["retry-after"]) >= 1
            assert KEY not in refused.text


async def test_an_embedder_that_is_back_is_asked_again_and_what_was_pending_is_embedded(
    memory: AsyncMemory, vendor: Vendor, guarded: Guarded
) -> None:
    vendor.status = 500
    for number in range(6):
        assert (await memory.add(f"heron number {number}")).pending
    assert guarded.state is not BreakerState.CLOSED
    vendor.status = 200

    async def is_filled() -> bool:
        try:
            await memory.app.upkeep.fill_pending(memory.app.caller)
        except EmbedderUnavailable:
            return False
        return (await memory.doctor()).pending_vectors == 0

    await eventually(is_filled)
    found = await memory.search("heron", mode="semantic", limit=10)
    assert len(found.hits) == 6


async def test_a_hanging_embedder_holds_up_neither_words_nor_the_database(
    memory: AsyncMemory, vendor: Vendor, guarded: Guarded
) -> None:
    await memory.add("the heron stands in the reeds")
    vendor.hold.clear()
    async with api(memory, request_timeout=120.0) as client:
        adds = [client.post("/v1/memories", json={"content": f"heron number {n}"}) for n in range(HANGING)]
        searches = [client.post("/v1/memories/search", json={"query": f"heron of {n}"}) for n in range(HANGING)]
        hanging = [asyncio.create_task(call) for call in (*adds, *searches)]
        semantic = asyncio.create_task(client.post("/v1/memories/search", json={"query": "heron", "mode": "semantic"}))

        async def is_asked() -> bool:
            return len(vendor.bodies) > EMBEDDER.most

        await eventually(is_asked)
        for _ in range(5):
            words = await client.post("/v1/memories/search", json={"query": "heron", "mode": "lexical"})
            assert words.json()["hits"][0]["memory"]["content"] == "the heron stands in the reeds"
        assert any(not task.done() for task in hanging[:HANGING])

        # It hangs for longer than a test waits: what is under way fails now.
        vendor.status = 500
        vendor.hold.set()
        answers = await asyncio.gather(*hanging)
        refused = await semantic

    assert [answer.status_code for answer in answers] == [201] * HANGING + [200] * HANGING
    assert all(answer.json()["pending"] for answer in answers[:HANGING])
    assert all(answer.json()["degraded"] == "embedder" for answer in answers[HANGING:])
    assert (refused.status_code, refused.json()["code"]) == (503, "embedder_unavailable")
    assert guarded.state is not BreakerState.CLOSED


async def test_an_add_and_a_search_are_answered_within_their_time_though_the_embedder_hangs(
    memory: AsyncMemory, vendor: Vendor
) -> None:
    vendor.hold.clear()
    async with api(memory, request_timeout=6.0) as client:
        adding = client.post("/v1/memories", json={"content": "the heron stands in the reeds"})
        searching = client.post("/v1/memories/search", json={"query": "heron"})
        added, found = await asyncio.gather(adding, searching)

    assert (added.status_code, added.json()["pending"]) == (201, True)
    assert (found.status_code, found.json()["degraded"]) == (200, "embedder")


async def test_an_embedder_that_keeps_failing_is_asked_no_more(memory: AsyncMemory, vendor: Vendor) -> None:
    vendor.status = 500
    patient = Guarded(replace(EMBEDDER, breaker=BreakerRules()))
    embedder = OpenAICompatibleEmbedder.open(
        RemoteModel(name="words", dimensions=DIMENSIONS, base_url=vendor.url), patient
    )
    for _ in range(20):
        with pytest.raises(EmbedderUnavailable):
            await embedder.embed_query("heron")

    assert patient.state is BreakerState.OPEN
    assert len(vendor.bodies) == 5
    await embedder.aclose()
