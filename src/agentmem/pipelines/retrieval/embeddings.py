"""The embeddings of queries: the same question of the same organization, asked again, costs nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Final

from agentmem.errors import EmbedderUnavailable
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.inference.port import Embedder, Embedding
from agentmem.foundation.inference.shared import KEPT_SECONDS, SharedQueries
from agentmem.foundation.resilience.deadline import deadline, within
from agentmem.kit.cache import Cache
from agentmem.kit.ids import OrganizationId
from agentmem.kit.tasks import hear

KEPT_QUERIES: Final = 1024
"""Query embeddings that a process keeps: about 4 MB, and immutable, so that processes cannot disagree."""

_LONGEST: Final = 60.0
"""Seconds that a search waits for a query's embedding where no request bounds it."""

_Key = tuple[OrganizationId, str, str]


class QueryEmbeddings:
    """Remembers the last ``capacity`` queries, the least recently asked forgotten first.

    What one organization asked is never found by another, not even by how fast it is answered. Callers that ask the
    same at once share one run; a caller that gives up does not stop it for the others. A failure is given to those who
    wait for it and is not kept. What ``shared`` holds is asked before the model, where there is one.
    """

    def __init__(
        self,
        *,
        shared: SharedQueries | None = None,
        capacity: int = KEPT_QUERIES,
        embedded: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        """Make it empty; ``embedded`` is told how many seconds each call of the model took."""
        self._shared = shared
        self._embedded = embedded
        self._kept: Cache[_Key, Embedding] = Cache(capacity=capacity, seconds=KEPT_SECONDS)
        self._running: dict[_Key, asyncio.Task[Embedding]] = {}
        self._sharing: set[asyncio.Task[None]] = set()

    async def embed(self, caller: Caller, embedder: Embedder, text: str) -> Embedding:
        """Give the kept embedding of a query, or make it; raises ``EmbedderUnavailable`` if the model fails."""
        key = (caller.organization_id, embedder.model, text)
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        task = self._running.get(key)
        if task is None:
            with deadline(None):  # others may wait for it too, for longer than this request
                task = asyncio.create_task(self._find(key, embedder))
            self._running[key] = task
            task.add_done_callback(hear)
        try:
            async with asyncio.timeout(within(_LONGEST)):
                return await asyncio.shield(task)
        except TimeoutError:
            raise EmbedderUnavailable("The embedding model did not answer within the time of the request.") from None

    async def aclose(self) -> None:
        """Forget everything; what still runs is heard out."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        await asyncio.gather(*self._sharing, return_exceptions=True)
        self._kept.clear()

    async def _find(self, key: _Key, embedder: Embedder) -> Embedding:
        try:
            embedding = await self._shared_or_made(key, embedder)
        finally:
            del self._running[key]
        self._kept.put(key, embedding)
        return embedding

    async def _shared_or_made(self, key: _Key, embedder: Embedder) -> Embedding:
        organization_id, _, text = key
        if self._shared is None:
            return await self._made(embedder, text)
        found = await self._shared.find(organization_id, embedder, text)
        if found is not None:
            return found
        embedding = await self._made(embedder, text)
        # The search goes on; the other processes have it a moment later.
        sharing = asyncio.create_task(self._shared.put(organization_id, embedder, text, embedding))
        self._sharing.add(sharing)
        sharing.add_done_callback(self._sharing.discard)
        return embedding

    async def _made(self, embedder: Embedder, text: str) -> Embedding:
        began = perf_counter()
        embedding = await embedder.embed_query(text)
        self._embedded(perf_counter() - began)
        return embedding
