"""The embedder that runs on this machine, offline: onnxruntime on the CPU, off the event loop."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, Self, TypeVar

from agentmem.errors import Closed
from agentmem.foundation.inference.encoder import Chunk, ChunkVectors, Encoder, Pieces, assemble, micro_batches
from agentmem.foundation.inference.folder import Manifest, read_model_folder
from agentmem.foundation.inference.port import Embedding

_P = ParamSpec("_P")
_R = TypeVar("_R")

_INTERACTIVE_CHARACTERS = 2_000
_WINDOW = 1_024
_NICENESS = 10


class LocalEmbedder:
    """Runs a model folder on ``threads`` cores.

    Two lanes keep callers out of each other's way. A query or a few short texts run at once in the interactive lane;
    everything larger is cut into runs of about 256 wordpieces, of which each call has at most ``threads + 1`` under
    way in the bulk lane, so that calls take turns. A query never waits for a batch: at worst it shares the cores.
    """

    def __init__(self, encoder: Encoder, *, model: str, manifest: Manifest, threads: int) -> None:
        self._encoder = encoder
        self._model = model
        self._manifest = manifest
        self._threads = threads
        self._interactive = ThreadPoolExecutor(threads, thread_name_prefix="agentmem-embed")
        self._bulk = ThreadPoolExecutor(threads, thread_name_prefix="agentmem-embed-bulk", initializer=_step_back)
        self._closed = False

    @classmethod
    async def open(cls, path: Path, *, threads: int, digest: str | None = None) -> Self:
        """Load a model folder; ``digest`` is the SHA-256 that its manifest must have.

        Raises :class:`ConfigurationError` if the folder cannot be read and :class:`IntegrityError` if a file in it is
        not the one that was shipped.
        """
        folder = await asyncio.to_thread(read_model_folder, path, digest=digest)
        encoder = await asyncio.to_thread(Encoder, folder)
        return cls(encoder, model=folder.id, manifest=folder.manifest, threads=threads)

    @property
    def model(self) -> str:
        """The model's stable id."""
        return self._model

    @property
    def dimensions(self) -> int:
        """The length of a pooled vector."""
        return self._manifest.dimensions

    @property
    def token_dimensions(self) -> int:
        """The length of a token vector."""
        return self._manifest.token_dimensions

    @property
    def sends_texts(self) -> bool:
        """Whether texts leave this machine."""
        return False

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """Embed texts in their order, on every core if there is more than a run's worth of them."""
        return await self._embed(texts, prefix=self._manifest.document_prefix)

    async def embed_query(self, text: str) -> Embedding:
        """Embed a query."""
        return (await self._embed([text], prefix=self._manifest.query_prefix))[0]

    async def aclose(self) -> None:
        """Let the runs under way finish, then free the threads."""
        self._closed = True
        await asyncio.to_thread(self._interactive.shutdown)
        await asyncio.to_thread(self._bulk.shutdown)

    async def _embed(self, texts: Sequence[str], *, prefix: str) -> list[Embedding]:
        short = sum(map(len, texts)) <= _INTERACTIVE_CHARACTERS
        if short and len(texts) == 1:
            return [await self._call(self._interactive, self._encoder.embed, texts[0], prefix=prefix)]
        lane = self._interactive if short else self._bulk
        embeddings: list[Embedding] = []
        for start in range(0, len(texts), _WINDOW):
            embeddings += await self._embed_window(lane, texts[start : start + _WINDOW], prefix)
        return embeddings

    async def _embed_window(self, lane: ThreadPoolExecutor, texts: Sequence[str], prefix: str) -> list[Embedding]:
        pieces, batches = await self._call(lane, self._prepare, texts, prefix)
        parts: list[list[ChunkVectors]] = [[] for _ in texts]
        queue = iter(batches)
        pumps = [asyncio.ensure_future(self._pump(lane, queue, parts)) for _ in range(self._threads + 1)]
        try:
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        return [assemble(cut, vectors) for cut, vectors in zip(pieces, parts, strict=True)]

    async def _pump(
        self, lane: ThreadPoolExecutor, queue: Iterator[list[Chunk]], parts: list[list[ChunkVectors]]
    ) -> None:
        for batch in queue:
            for vectors in await self._call(lane, self._encoder.run, batch):
                parts[vectors.chunk.text].append(vectors)

    def _prepare(self, texts: Sequence[str], prefix: str) -> tuple[list[Pieces], list[list[Chunk]]]:
        pieces = [self._encoder.tokenise(text, prefix=prefix) for text in texts]
        chunks = [chunk for number, cut in enumerate(pieces) for chunk in self._encoder.chunks(number, cut)]
        return pieces, micro_batches(chunks)

    async def _call(
        self, lane: ThreadPoolExecutor, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs
    ) -> _R:
        if self._closed:
            raise Closed("The embedder is closed.", hint="Open the store again.")
        return await asyncio.wrap_future(lane.submit(function, *args, **kwargs))


def _step_back() -> None:
    """Let the interactive lane go first on the cores, where the system has a priority for each thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
