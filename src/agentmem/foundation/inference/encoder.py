"""The blocking half of the local embedder: wordpieces in, vectors out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as runtime
from tokenizers import Tokenizer

from agentmem.errors import EmbedderUnavailable, IntegrityError
from agentmem.foundation.inference.folder import ModelFolder
from agentmem.foundation.inference.port import MAX_TOKEN_ROWS, Embedding

MICRO_BATCH_TOKENS = 256
"""How many wordpieces, padding included, one run takes: larger runs fall out of the cache and are slower a text."""

_ERRORS_ONLY = 3
_SURROGATE = re.compile("[\ud800-\udfff]")
_RUNTIME_ERRORS = (
    runtime.Fail,
    runtime.InvalidArgument,
    runtime.InvalidGraph,
    runtime.InvalidProtobuf,
    runtime.NotImplemented,
    runtime.RuntimeException,
    MemoryError,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pieces:
    """The wordpieces of one text without special tokens: their ids, and their spans in characters of the text."""

    ids: list[int]
    spans: NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Chunk:
    """A part of a text that fits the model: which text, where the part begins, and its ids with special tokens."""

    text: int
    start: int
    ids: list[int]


@dataclass(frozen=True, kw_only=True, eq=False)
class ChunkVectors:
    """What the model says of one chunk."""

    chunk: Chunk
    pooled: NDArray[np.float32]
    tokens: NDArray[np.int8]


class Encoder:
    """A loaded model. Its methods block, hold no state between calls, and may run in several threads at once.

    One session of one thread serves them all: two threads with a text each are twice as fast as one text on two
    threads, and the weights are in memory once.
    """

    def __init__(self, folder: ModelFolder) -> None:
        """Load the graph and the tokenizer; raises :class:`IntegrityError` if they do not load."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        try:
            self._session = onnxruntime.InferenceSession(folder.model, options, providers=["CPUExecutionProvider"])
            self._tokenizer = Tokenizer.from_buffer(folder.tokenizer)
        except (*_RUNTIME_ERRORS, ValueError) as error:
            raise IntegrityError(
                f"The model {folder.id} cannot be loaded: {type(error).__name__}.", hint="Make the folder again."
            ) from error
        self._manifest = folder.manifest
        special = self._tokenizer.encode("")
        self._before, self._after = special.ids[:1], special.ids[1:]

    def tokenise(self, text: str, *, prefix: str = "") -> Pieces:
        """Cut a text into wordpieces; a lone surrogate counts as an unknown character."""
        whole = prefix + _SURROGATE.sub("\ufffd", text)
        encoding = self._tokenizer.encode(whole, add_special_tokens=False)
        # some tokenizers count the space before a word as a part of it
        offsets = [(start + (whole[start:end][:1] == " "), end) for start, end in encoding.offsets]
        return Pieces(ids=encoding.ids, spans=np.array(offsets, dtype=np.int32).reshape(-1, 2) - len(prefix))

    def chunks(self, text: int, pieces: Pieces) -> list[Chunk]:
        """Cut the wordpieces of the text numbered ``text`` into equal parts that the model takes; at least one."""
        room = self._manifest.max_tokens - len(self._before) - len(self._after)
        count = max(1, -(-len(pieces.ids) // room))
        size = -(-len(pieces.ids) // count)
        return [
            Chunk(text=text, start=start, ids=self._before + pieces.ids[start : start + size] + self._after)
            for start in range(0, max(1, len(pieces.ids)), max(1, size))
        ]

    def run(self, chunks: Sequence[Chunk]) -> list[ChunkVectors]:
        """Run the model once; a text's vectors do not depend on the texts that it runs with."""
        lengths = np.array([len(chunk.ids) for chunk in chunks], dtype=np.int32)
        ids = np.zeros((len(chunks), int(lengths.max())), dtype=np.int64)
        for row, chunk in enumerate(chunks):
            ids[row, : len(chunk.ids)] = chunk.ids
        try:
            pooled, tokens = self._session.run(["pooled", "tokens"], {"input_ids": ids, "lengths": lengths})
        except _RUNTIME_ERRORS as error:
            raise EmbedderUnavailable(
                f"The embedding model {self._manifest.name} failed on {len(chunks)} texts: {type(error).__name__}."
            ) from error
        first = len(self._before)
        return [
            ChunkVectors(
                chunk=chunk,
                pooled=pooled[row].copy(),
                tokens=tokens[row, first : len(chunk.ids) - len(self._after)].copy(),
            )
            for row, chunk in enumerate(chunks)
        ]

    def embed(self, text: str, *, prefix: str) -> Embedding:
        """Embed one text: cut, run, put together."""
        pieces = self.tokenise(text, prefix=prefix)
        parts = [vectors for chunk in self.chunks(0, pieces) for vectors in self.run([chunk])]
        return assemble(pieces, parts)


def micro_batches(chunks: Sequence[Chunk]) -> list[list[Chunk]]:
    """Group chunks of like length, longest first, so that a group with its padding stays under the bound."""
    batches: list[list[Chunk]] = []
    for chunk in sorted(chunks, key=lambda chunk: len(chunk.ids), reverse=True):
        if batches and (len(batches[-1]) + 1) * len(batches[-1][0].ids) <= MICRO_BATCH_TOKENS:
            batches[-1].append(chunk)
        else:
            batches.append([chunk])
    return batches


def assemble(pieces: Pieces, parts: Sequence[ChunkVectors]) -> Embedding:
    """Put a text's parts together: the mean of the pooled vectors by length, and the first token vectors in order."""
    ordered = sorted(parts, key=lambda part: part.chunk.start)
    pooled = ordered[0].pooled
    if len(ordered) > 1:
        total = np.sum([part.pooled * len(part.chunk.ids) for part in ordered], axis=0)
        pooled = (total / max(float(np.linalg.norm(total)), 1e-12)).astype(np.float32)
    tokens = np.concatenate([part.tokens for part in ordered])
    own = pieces.spans[:, 0] >= 0  # a prefix that the model asks for is not a part of the text
    return Embedding(
        pooled=pooled,
        tokens=tokens[own][:MAX_TOKEN_ROWS],
        spans=pieces.spans[own][:MAX_TOKEN_ROWS],
    )
