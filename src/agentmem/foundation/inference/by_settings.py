"""The embedder of the settings, by the name that a setting may have, or by the id under which a store records it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from agentmem.errors import ConfigurationError
from agentmem.foundation.inference.multilingual import MULTILINGUAL_MODEL
from agentmem.foundation.inference.open import DEFAULT_MODEL, open_embedder
from agentmem.foundation.inference.port import Embedder
from agentmem.settings import Settings

log = structlog.get_logger(__name__)


async def embedder_of(settings: Settings, model: str) -> Embedder:
    """Open a model as the settings say; raises :class:`ConfigurationError` when none of theirs or ours is it."""
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
