"""What AgentMem is compared with in retrieval: BM25, dense vectors, their fusion by ranks, and mem0's formula.

All read the same text of a turn ("Speaker: text") and the same embedder; BM25 reads AgentMem's own terms.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentmem.kit.text.analyse import analyse

Scores = NDArray[np.float64]

RRF: Final = 60
_SIGMOIDS: Final = ((3, 5.0, 0.7), (6, 7.0, 0.6), (9, 9.0, 0.5), (15, 10.0, 0.5))
_LONGEST_SIGMOID: Final = (12.0, 0.5)
_MEM0_THRESHOLD: Final = 0.1


def terms(text: str) -> list[str]:
    """Give the terms of a text without its stop words."""
    return [token.term for token in analyse(text) if not token.stop]


class Bm25:
    """Okapi BM25 over a handful of texts, scored exactly."""

    def __init__(self, texts: Sequence[str], *, k1: float, b: float) -> None:
        documents = [Counter(terms(text)) for text in texts]
        lengths = np.array([document.total() for document in documents], dtype=float)
        norm = k1 * (1 - b + b * lengths / max(float(lengths.mean()), 1.0))
        self._count = len(texts)
        self._weights: dict[str, Scores] = {}
        frequencies: dict[str, Scores] = {}
        for number, document in enumerate(documents):
            for term, frequency in document.items():
                frequencies.setdefault(term, np.zeros(self._count))[number] = frequency
        for term, frequency_of in frequencies.items():
            present = int(np.count_nonzero(frequency_of))
            idf = math.log(1 + (self._count - present + 0.5) / (present + 0.5))
            self._weights[term] = idf * frequency_of * (k1 + 1) / (frequency_of + norm)

    def scores(self, query: str) -> Scores:
        """Score every text for a query."""
        found = [self._weights[term] for term in set(terms(query)) if term in self._weights]
        return np.sum(found, axis=0) if found else np.zeros(self._count)


def best(scores: Scores, limit: int) -> list[int]:
    """Give the places of the highest scores above zero, best first."""
    order = np.argsort(-scores, kind="stable")[:limit]
    return [int(place) for place in order if scores[place] > 0]


def fused_by_rank(rankings: Sequence[Sequence[int]], count: int) -> Scores:
    """Fuse rankings by reciprocal rank (k = 60)."""
    total = np.zeros(count)
    for ranking in rankings:
        for rank, place in enumerate(ranking, start=1):
            total[place] += 1 / (RRF + rank)
    return total


def mem0_scores(query: str, dense: Scores, lexical: Scores, *, limit: int) -> Scores:
    """Score as mem0 does, without its entities, which need a language package that it does not install.

    Only the semantic best ``max(4 * limit, 60)`` are candidates; their cosine and their BM25 through a logistic curve,
    chosen by the length of the query, are added and divided by the number of signals.
    """
    pool = max(4 * limit, 60)
    words = len(terms(query))
    middle, steepness = next(((m, s) for most, m, s in _SIGMOIDS if words <= most), _LONGEST_SIGMOID)
    total = np.zeros(len(dense))
    keyword = {place: 1 / (1 + math.exp(-steepness * (lexical[place] - middle))) for place in best(lexical, pool)}
    for place in best(dense, pool):
        if dense[place] >= _MEM0_THRESHOLD:
            total[place] = (dense[place] + keyword.get(place, 0.0)) / (2 if keyword else 1)
    return total
