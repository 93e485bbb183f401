"""Kept query embeddings: apart by organization, bounded, shared while they run, and failures forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import uuid4

import numpy as np

from agentmem.errors import EmbedderUnavailable
from agentmem.foundation.authorization.caller import local_operator
from agentmem.foundation.inference.port import Embedding
from agentmem.kit.ids import OrganizationId
from agentmem.pipelines.retrieval.embeddings import QueryEmbeddings

HERE = local_operator(OrganizationId(uuid4()))
ELSEWHERE = local_operator(OrganizationId(uuid4()))


class CountingModel:
    """A model at the port that counts its runs, waits for a signal, and fails when told to."""

    model = "counting@1"
    dimensions = 2
    token_dimensions = 0
    sends_texts = False

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.go = asyncio.Event()
        self.go.set()
        self.broken = False

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        return [await self.embed_query(text) for text in texts]

    async def embed_query(self, text: str) -> Embedding:
        self.runs.append(text)
        await self.go.wait()
        if self.broken:
            raise EmbedderUnavailable("The model is broken.")
        empty = np.zeros((0, 0), dtype=np.int8)
        return Embedding(pooled=np.array([1, 0], np.float32), tokens=empty, spans=np.zeros((0, 2), np.int32))

    async def aclose(self) -> None:
        pass


async def test_a_query_asked_again_is_not_run_again() -> None:
    model = CountingModel()
    cache = QueryEmbeddings(capacity=2)
    first = await cache.embed(HERE, model, "a")
    assert await cache.embed(HERE, model, "a") is first
    assert model.runs == ["a"]


async def test_the_least_recently_asked_query_is_forgotten_first() -> None:
    model = CountingModel()
    cache = QueryEmbeddings(capacity=2)
    for text in "abaca":
        await cache.embed(HERE, model, text)
    assert model.runs == ["a", "b", "c"]
    await cache.embed(HERE, model, "b")
    assert model.runs == ["a", "b", "c", "b"]


async def test_callers_at_once_share_one_run_even_if_the_first_gives_up() -> None:
    model = CountingModel()
    model.go.clear()
    cache = QueryEmbeddings(capacity=2)
    first, second = (asyncio.create_task(cache.embed(HERE, model, "a")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    model.go.set()
    assert (await second).pooled.tolist() == [1, 0]
    assert model.runs == ["a"]


async def test_a_failure_reaches_every_caller_and_is_not_kept() -> None:
    model = CountingModel()
    model.broken = True
    cache = QueryEmbeddings(capacity=2)
    failures = await asyncio.gather(*(cache.embed(HERE, model, "a") for _ in range(3)), return_exceptions=True)
    assert [type(failure) for failure in failures] == [EmbedderUnavailable] * 3
    model.broken = False
    assert (await cache.embed(HERE, model, "a")).pooled.tolist() == [1, 0]


async def test_what_one_organization_asked_is_run_again_for_another() -> None:
    model = CountingModel()
    cache = QueryEmbeddings(capacity=2)
    await cache.embed(HERE, model, "a")
    await cache.embed(ELSEWHERE, model, "a")
    assert model.runs == ["a", "a"]


async def test_what_one_model_made_is_not_given_for_another() -> None:
    model, other = CountingModel(), CountingModel()
    other.model = "counting@2"
    cache = QueryEmbeddings(capacity=2)
    await cache.embed(HERE, model, "a")
    await cache.embed(HERE, other, "a")
    assert (model.runs, other.runs) == (["a"], ["a"])


async def test_a_cache_of_no_queries_keeps_none() -> None:
    model = CountingModel()
    cache = QueryEmbeddings(capacity=0)
    for _ in range(2):
        await cache.embed(HERE, model, "a")
    assert model.runs == ["a", "a"]


async def test_closing_hears_out_what_runs() -> None:
    model = CountingModel()
    model.go.clear()
    cache = QueryEmbeddings(capacity=2)
    query = asyncio.create_task(cache.embed(HERE, model, "a"))
    await asyncio.sleep(0)
    closing = asyncio.create_task(cache.aclose())
    await asyncio.sleep(0)
    model.go.set()
    await closing
    assert (await query).pooled.tolist() == [1, 0]
