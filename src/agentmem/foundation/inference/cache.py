"""Query embeddings kept: the same question asked again costs nothing."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from agentmem.foundation.inference.port import Embedder, Embedding


class CachedQueries:
    """An embedder that remembers its last ``capacity`` queries, the least recently asked forgotten first.

    Callers that ask the same question at once share one run; a caller that gives up does not stop it for the others.
    A failure is given to those who wait for it and is not kept.
    """

    def __init__(self, embedder: Embedder, *, capacity: int) -> None:
        self._embedder = embedder
        self._capacity = capacity
        self._kept: OrderedDict[str, Embedding] = OrderedDict()
        self._running: dict[str, asyncio.Task[Embedding]] = {}

    @property
    def model(self) -> str:
        """The model's stable id."""
        return self._embedder.model

    @property
    def dimensions(self) -> int:
        """The length of a pooled vector."""
        return self._embedder.dimensions

    @property
    def token_dimensions(self) -> int:
        """The length of a token vector."""
        return self._embedder.token_dimensions

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """Embed texts that will be searched for; these are not kept, each is embedded once in its life."""
        return await self._embedder.embed_documents(texts)

    async def embed_query(self, text: str) -> Embedding:
        """Give the kept embedding of a query, or make it."""
        kept = self._kept.get(text)
        if kept is not None:
            self._kept.move_to_end(text)
            return kept
        task = self._running.get(text)
        if task is None:
            task = asyncio.create_task(self._embed(text))
            self._running[text] = task
            task.add_done_callback(_seen)
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """Forget everything and close the embedder; what still runs is heard out."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        self._kept.clear()
        await self._embedder.aclose()

    async def _embed(self, text: str) -> Embedding:
        try:
            embedding = await self._embedder.embed_query(text)
        finally:
            del self._running[text]
        self._kept[text] = embedding
        while len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
        return embedding


def _seen(task: asyncio.Task[Embedding]) -> None:
    """Mark a failure as seen, for the case that every caller has given up."""
    if not task.cancelled():
        task.exception()
