"""The remote embedder: what it sends, and what becomes of a vendor's failures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from pydantic import SecretStr

from agentmem.errors import ConfigurationError, EmbedderUnavailable
from agentmem.foundation.inference.endpoint import EMBEDDER
from agentmem.foundation.inference.remote import OpenAICompatibleEmbedder, RemoteModel
from agentmem.foundation.resilience.guarded import Guarded
from tests.support.embedding_vendor import DIMENSIONS, KEY, Vendor, embedding_vendor, words_vector


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with embedding_vendor() as running:
        yield running


def remote(url: str) -> RemoteModel:
    return RemoteModel(name="words", dimensions=DIMENSIONS, base_url=url, api_key=SecretStr(KEY))


async def failure(model: RemoteModel, guarded: Guarded | None = None) -> str:
    embedder = OpenAICompatibleEmbedder.open(model, guarded)
    with pytest.raises(EmbedderUnavailable) as caught:
        await embedder.embed_documents(["one", "two"])
    await embedder.aclose()
    assert KEY not in str(caught.value)
    assert KEY not in repr(model)
    return str(caught.value)


async def test_texts_are_sent_in_requests_of_128_with_the_key(vendor: Vendor) -> None:
    embedder = OpenAICompatibleEmbedder.open(remote(vendor.url))
    texts = [f"word{number}" for number in range(300)]
    embeddings = await embedder.embed_documents(texts)
    await embedder.aclose()
    assert [len(batch) for batch in vendor.batches] == [128, 128, 44]
    assert vendor.keys == [f"Bearer {KEY}"] * 3
    expected = np.array([words_vector(text) for text in texts])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose([embedding.pooled for embedding in embeddings], expected, atol=1e-6)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
async def test_a_refusal_makes_the_embedder_unavailable(vendor: Vendor, status: int) -> None:
    vendor.status = status
    vendor.answer = json.dumps({"error": {"message": f"key {KEY} is wrong"}}).encode()
    assert str(status) in await failure(remote(vendor.url))


def answer(*vectors: list[float], shift: int = 0) -> bytes:
    return json.dumps({"data": [{"index": i + shift, "embedding": v} for i, v in enumerate(vectors)]}).encode()


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"data": [{"index": 0}]}',
        answer([1.0] * DIMENSIONS),
        answer([1.0] * DIMENSIONS, [1.0] * DIMENSIONS, shift=1),
        answer([1.0] * DIMENSIONS, [1.0] * 3),
        answer([1.0] * DIMENSIONS, [0.0] * DIMENSIONS),
        answer([1.0] * DIMENSIONS, [float("nan")] * DIMENSIONS),
        answer([1.0] * DIMENSIONS, [1e300] * DIMENSIONS),
    ],
    ids=["empty", "html", "list", "lacking", "too-few", "wrong-index", "short-vector", "zero", "nan", "overflow"],
)
async def test_an_answer_that_is_not_embeddings_makes_the_embedder_unavailable(vendor: Vendor, reply: bytes) -> None:
    vendor.answer = reply
    assert "gave" in await failure(remote(vendor.url))


async def test_an_address_where_nothing_answers_makes_the_embedder_unavailable() -> None:
    assert "password" not in await failure(remote("http://name:password@127.0.0.1:1/v1"))


@pytest.mark.parametrize("url", ["nonsense", "http://[::1", "http://name:password@", "ftp://127.0.0.1/v1", ""])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        OpenAICompatibleEmbedder.open(remote(url))
    assert "password" not in str(caught.value)


async def test_a_vendor_that_is_silent_makes_the_embedder_unavailable(vendor: Vendor) -> None:
    vendor.hold.clear()
    impatient = Guarded(replace(EMBEDDER, seconds=0.05))
    assert "did not answer" in await failure(remote(vendor.url), impatient)


async def test_a_closing_embedder_does_not_break_another(vendor: Vendor) -> None:
    first, second = (OpenAICompatibleEmbedder.open(remote(vendor.url)) for _ in range(2))
    await asyncio.gather(first.embed_query("one"), second.embed_query("two"))
    await first.aclose()
    assert (await second.embed_query("two")).pooled.shape == (DIMENSIONS,)
    await second.aclose()
