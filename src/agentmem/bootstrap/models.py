"""Which models an application works with: the embedder of its store, and the reranker if there is one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from agentmem.errors import ConfigurationError, IntegrityError
from agentmem.features.memories.upkeep import MemoryUpkeep
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.inference.absent import AbsentEmbedder
from agentmem.foundation.inference.multilingual import MULTILINGUAL_MODEL
from agentmem.foundation.inference.open import DEFAULT_MODEL, open_embedder
from agentmem.foundation.inference.port import Embedder
from agentmem.foundation.inference.remote_reranker import RemoteReranker
from agentmem.pipelines.retrieval.rerank import Reranking
from agentmem.settings import Settings

log = structlog.get_logger(__name__)


async def first_model(loading: asyncio.Task[Embedder], upkeep: MemoryUpkeep, caller: Caller) -> Embedder:
    """Give the model that the settings name; without it a store that records one opens all the same."""
    try:
        return await loading
    except (ConfigurationError, IntegrityError) as error:
        recorded = await upkeep.recorded_model(caller)
        if recorded is None:
            raise
        return AbsentEmbedder(recorded, error)


async def open_model(settings: Settings, model: str) -> Embedder:
    """Open a model by the name that a setting may have, or by the id under which a store records it."""
    if "@" not in model or await asyncio.to_thread(Path(model).is_dir):
        return await _open_named(settings, model)
    shipped = [name for name in (DEFAULT_MODEL, MULTILINGUAL_MODEL) if model.startswith(name)]
    for name in dict.fromkeys([*shipped, settings.embedding_model]):
        try:
            embedder = await _open_named(settings, name)
        except ConfigurationError as error:
            log.warning("model_not_opened", name=name, reason=error.message)
            continue
        if embedder.model == model:
            return embedder
        await embedder.aclose()
    raise ConfigurationError(
        f"The store's memories are embedded by the model {model}, which is neither shipped with this version nor the "
        f"one that the settings name ({settings.embedding_model}).",
        hint="Set AGENTMEM_EMBEDDING_MODEL to the name or folder of that model.",
    )


async def _open_named(settings: Settings, model: str) -> Embedder:
    name = DEFAULT_MODEL if model == "default" else model
    return await open_embedder(
        name,
        threads=settings.embedding_threads,
        base_url=settings.embedding_url,
        api_key=settings.embedding_key,
        dimensions=settings.embedding_dimensions,
    )


def open_reranking(settings: Settings) -> Reranking | None:
    """Open the reranker that the settings name."""
    if settings.reranker is None:
        return None
    return Reranking(
        reranker=RemoteReranker.open(settings.reranker, base_url=settings.reranker_url, api_key=settings.reranker_key),
        deadline=settings.reranker_deadline,
        depth=settings.reranker_depth,
    )
