"""Which models an application works with: the embedder of its store, and the reranker if there is one."""

from __future__ import annotations

import asyncio

from agentmem.errors import ConfigurationError, IntegrityError
from agentmem.features.memories.upkeep import MemoryUpkeep
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.inference.absent import AbsentEmbedder
from agentmem.foundation.inference.port import Embedder
from agentmem.foundation.inference.remote_reranker import RemoteReranker
from agentmem.foundation.resilience.guarded import Guarded
from agentmem.pipelines.retrieval.rerank import Reranking
from agentmem.settings import Settings


async def first_model(loading: asyncio.Task[Embedder], upkeep: MemoryUpkeep, caller: Caller) -> Embedder:
    """Give the model that the settings name; without it a store that records one opens all the same."""
    try:
        return await loading
    except (ConfigurationError, IntegrityError) as error:
        recorded = await upkeep.recorded_model(caller)
        if recorded is None:
            raise
        return AbsentEmbedder(recorded, error)


def open_reranking(settings: Settings, guarded: Guarded) -> Reranking | None:
    """Open the reranker that the settings name."""
    if settings.reranker is None:
        return None
    reranker = RemoteReranker.open(
        settings.reranker, base_url=settings.reranker_url, api_key=settings.reranker_key, guarded=guarded
    )
    return Reranking(reranker=reranker, depth=settings.reranker_depth)
