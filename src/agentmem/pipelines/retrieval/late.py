"""Late interaction: every content piece of the query takes its best match among the pieces of a memory.

Khattab & Zaharia, "ColBERT" (2020), with the weight of a word's rarity, and a second score over the turn together with
its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from agentmem.pipelines.retrieval.query import ParsedQuery

Floats = NDArray[np.float32]
_TINY: Final = np.float32(1e-6)
_ONE_THREAD: Final = 250_000
"""Multiplications up to which OpenBLAS stays on one thread."""


class TokenVectors(Protocol):
    """What late interaction needs of the query's embedding."""

    @property
    def tokens(self) -> NDArray[np.int8]:
        """Vectors of the pieces, ``(pieces, dimensions)``."""
        ...

    @property
    def spans(self) -> NDArray[np.int32]:
        """Character offsets of the pieces, ``(pieces, 2)``."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryVectors:
    """The query's content pieces: unit vectors ``(m, d)`` and their weights ``(m,)``, which sum to 1."""

    vectors: Floats
    weights: Floats


def query_vectors(query: ParsedQuery, embedding: TokenVectors, idf: Mapping[str, float]) -> QueryVectors:
    """Choose the pieces of the query that carry content, and share each word's rarity among its pieces.

    ``idf`` gives the rarity of every term of the query in the searched scope.
    """
    chosen: list[int] = []
    weights: list[float] = []
    for token in query.tokens:
        if token.stop:
            continue
        pieces = [
            number
            for number, (start, end) in enumerate(embedding.spans.tolist())
            if token.start <= start and end <= token.end and start < end and number not in chosen
        ]
        chosen += pieces
        weights += [idf.get(token.term, 0.0) / max(len(pieces), 1)] * len(pieces)
    share = np.array(weights, np.float32)
    if not share.any():
        share = np.ones(len(chosen), np.float32)
    return QueryVectors(
        vectors=_unit(embedding.tokens[chosen].astype(np.float32)), weights=share / max(float(share.sum()), 1e-6)
    )


def around(best: Floats, neighbours: NDArray[np.int64]) -> Floats:
    """Give the best matches of every memory and those around it, ``(memories, w, m)``.

    ``neighbours``, ``(memories, w)``, holds their rows of ``best``, -1 for none, who matches worse than anybody.
    """
    nobody = np.full((1, best.shape[1]), -1, np.float32)
    found: Floats = np.concatenate((best, nobody))[neighbours]
    return found


def total(best: Floats, query: QueryVectors) -> Floats:
    """Add up the best matches of all query pieces by their weights, ``(memories,)``."""
    # Not by the linear algebra library: it is slower for a few columns, and may wake threads.
    added: Floats = np.einsum("nm,m->n", best, query.weights)
    return added


def best_matches(query: QueryVectors, tokens: NDArray[np.int8], pieces: NDArray[np.int64]) -> Floats:
    """Give the best cosine of every query piece within every memory, ``(memories, m)``; 0 in a memory without vectors.

    ``tokens``, ``(sum of pieces, d)``, stacks the vectors of all memories; ``pieces`` says how many are whose.
    """
    best = np.zeros((len(pieces), len(query.vectors)), np.float32)
    usable = np.flatnonzero(pieces)
    if not len(usable) or not best.size:
        return best
    stacked = tokens.astype(np.float32)
    lengths = np.sqrt(np.einsum("nd,nd->n", stacked, stacked))
    cosines = _products(stacked, query.vectors) / np.maximum(lengths, _TINY)[:, None]
    ends = np.cumsum(pieces[usable])
    best[usable] = np.maximum.reduceat(cosines, ends - pieces[usable], axis=0)
    return best


def _products(rows: Floats, columns: Floats) -> Floats:
    """``rows @ columns.T`` in parts that the linear algebra library does not spread over threads.

    Waking threads for a product this small costs more than the product, and 8 ms when another process has the cores.
    """
    transposed = np.ascontiguousarray(columns.T)
    products = np.empty((len(rows), len(columns)), np.float32)
    step = max(1, _ONE_THREAD // transposed.size)
    for begin in range(0, len(rows), step):
        np.matmul(rows[begin : begin + step], transposed, out=products[begin : begin + step])
    return products


def _unit(rows: Floats) -> Floats:
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    unit: Floats = rows / np.maximum(lengths, _TINY)[:, None]
    return unit
