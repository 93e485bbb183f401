"""Fakes at the vendor's port: embedders that are tiny, or broken when a test says so."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from agentmem.errors import EmbedderUnavailable
from agentmem.foundation.inference.port import Embedder, Embedding


class HashEmbedder:
    """A model without weights: a text's vector is the sum of its words' pseudo-random ones, so it finds equal words."""

    def __init__(self, model: str = "hash@1", dimensions: int = 48) -> None:
        self.sends_texts = False
        self.model = model
        self.dimensions = dimensions
        self.token_dimensions = 0
        self.closed = False

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        return [self._embed(text) for text in texts]

    async def embed_query(self, text: str) -> Embedding:
        return self._embed(text)

    async def aclose(self) -> None:
        self.closed = True

    def _embed(self, text: str) -> Embedding:
        total = np.zeros(self.dimensions, np.float32)
        for word in text.lower().split() or [""]:
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8])
            total += np.random.default_rng(seed).standard_normal(self.dimensions).astype(np.float32)
        return Embedding(
            pooled=total / max(float(np.linalg.norm(total)), 1e-9),
            tokens=np.zeros((0, 0), np.int8),
            spans=np.zeros((0, 2), np.int32),
        )


class ContraryEmbedder(HashEmbedder):
    """A model to which all texts mean the same, but for those with a certain word, which mean the opposite."""

    def __init__(self, word: str) -> None:
        super().__init__(f"contrary-{word}@1", 48)
        self._word = word

    def _embed(self, text: str) -> Embedding:
        return super()._embed("no" if self._word in text else "yes")


class BrokenEmbedder(HashEmbedder):
    """A model that gives what is no vector, and does not say so."""

    def _embed(self, text: str) -> Embedding:
        whole = super()._embed(text)
        return Embedding(pooled=np.full(self.dimensions, np.nan, np.float32), tokens=whole.tokens, spans=whole.spans)


class FlakyEmbedder:
    """An embedder that fails while ``down`` is set."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.down = False

    @property
    def model(self) -> str:
        return self._embedder.model

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    @property
    def token_dimensions(self) -> int:
        return self._embedder.token_dimensions

    @property
    def sends_texts(self) -> bool:
        return self._embedder.sends_texts

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        self._fail_if_down()
        return await self._embedder.embed_documents(texts)

    async def embed_query(self, text: str) -> Embedding:
        self._fail_if_down()
        return await self._embedder.embed_query(text)

    async def aclose(self) -> None:
        """Leave the embedder open: it belongs to the store."""

    def _fail_if_down(self) -> None:
        if self.down:
            raise EmbedderUnavailable("The model does not answer.")


class RemoteEmbedder(HashEmbedder):
    """A model of a provider: it keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__("remote@1")
        self.sends_texts = True
        self.sent: list[str] = []

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        self.sent += texts
        return await super().embed_documents(texts)

    async def embed_query(self, text: str) -> Embedding:
        self.sent.append(text)
        return await super().embed_query(text)


class KeepingReranker:
    """A reranker that keeps what it was sent."""

    model = "reranker"

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        self.sent += [query, *texts]
        return [0.5] * len(texts)

    async def aclose(self) -> None:
        """Nothing is held."""
