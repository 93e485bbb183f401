"""Picks the embedder that a setting names, or a store."""

from __future__ import annotations

import asyncio
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
from pydantic import SecretStr

from agentmem.errors import ConfigurationError
from agentmem.foundation.inference.multilingual import MULTILINGUAL_MODEL, MultilingualEmbedder
from agentmem.foundation.inference.port import Embedder
from agentmem.foundation.inference.remote import OPENAI_URL, OpenAICompatibleEmbedder, RemoteModel
from agentmem.foundation.resilience.guarded import Guarded
from agentmem.settings import Settings

if TYPE_CHECKING:
    from agentmem.foundation.inference.local import LocalEmbedder

DEFAULT_MODEL: Final = "all-minilm-l6-v2-int8"
_SHIPPED: Final = {DEFAULT_MODEL: "bca37a4afb9471b0bbdfafb5093e03b5c721e8d1c02521e25b400e23705935a8"}
_REMOTE_PREFIX: Final = "openai:"
log = structlog.get_logger(__name__)


async def open_embedder(
    model: str = DEFAULT_MODEL,
    *,
    threads: int,
    base_url: str | None = None,
    api_key: SecretStr | None = None,
    dimensions: int | None = None,
    guarded: Guarded | None = None,
) -> Embedder:
    """Open the embedder named ``model``: a shipped model, ``multilingual-e5-small``, a folder, or ``openai:<name>``.

    ``threads`` bounds the cores of a local model. ``base_url``, ``api_key``, ``dimensions`` and ``guarded`` are for a
    remote model. ``multilingual-e5-small`` needs the extra ``agentmem[multilingual]``, a remote one
    ``agentmem[remote]``.
    Raises :class:`ConfigurationError` if there is no such model and :class:`IntegrityError` if its files are damaged.
    """
    if model.startswith(_REMOTE_PREFIX):
        name = model.removeprefix(_REMOTE_PREFIX)
        if dimensions is None or not name:
            raise ConfigurationError(
                f"The embedding model {model!r} has no name, or the length of its vectors is not set.",
                hint="Set both, for example openai:text-embedding-3-small and 1536.",
            )
        remote = RemoteModel(name=name, dimensions=dimensions, base_url=base_url or OPENAI_URL, api_key=api_key)
        return OpenAICompatibleEmbedder.open(remote, guarded)
    if model == MULTILINGUAL_MODEL:
        return await MultilingualEmbedder.open(threads=threads)
    if model in _SHIPPED:
        folder = Path(__file__).parent / "models" / model
        return await _local().open(folder, threads=threads, digest=_SHIPPED[model])
    if await asyncio.to_thread(Path(model).is_dir):
        return await _local().open(Path(model), threads=threads)
    raise ConfigurationError(
        f"There is no embedding model {model!r}.",
        hint=f"Use {', '.join(_SHIPPED)}, {MULTILINGUAL_MODEL}, {_REMOTE_PREFIX}<name>, or the path of a model folder.",
    )


async def open_model(settings: Settings, guarded: Guarded, model: str) -> Embedder:
    """Open a model by the name that a setting may have, or by the id under which a store records it."""
    if "@" not in model or await asyncio.to_thread(Path(model).is_dir):
        return await _open_named(settings, guarded, model)
    shipped = [name for name in (DEFAULT_MODEL, MULTILINGUAL_MODEL) if model.startswith(name)]
    for name in dict.fromkeys([*shipped, settings.embedding_model]):
        try:
            embedder = await _open_named(settings, guarded, name)
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


async def _open_named(settings: Settings, guarded: Guarded, model: str) -> Embedder:
    name = DEFAULT_MODEL if model == "default" else model
    return await open_embedder(
        name,
        threads=settings.embedding_threads,
        base_url=settings.embedding_url,
        api_key=settings.embedding_key,
        dimensions=settings.embedding_dimensions,
        guarded=guarded,
    )


def _local() -> type[LocalEmbedder]:
    """Load what runs models on this machine only where one is asked for: some systems have no onnxruntime."""
    try:
        local: type[LocalEmbedder] = import_module("agentmem.foundation.inference.local").LocalEmbedder
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"Models that run on this machine need {error.name}, which is not installed here.",
            hint=f"Set AGENTMEM_EMBEDDING_MODEL to {_REMOTE_PREFIX}<name> and AGENTMEM_EMBEDDING_URL to its endpoint.",
        ) from None
    return local
