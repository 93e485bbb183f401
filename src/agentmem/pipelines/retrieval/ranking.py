"""The ranking of one search: which places to read, and their order."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from agentmem.features.memories.index_entry import decode_all
from agentmem.features.memories.index_reading import NEAREST_LIMIT, Candidates, Nearest
from agentmem.features.memories.searching import Words
from agentmem.foundation.inference.port import Embedding
from agentmem.pipelines.retrieval import signals
from agentmem.pipelines.retrieval.fuse import MOST_CANDIDATES, FoundByWords, Fused, choose, fuse, with_neighbours
from agentmem.pipelines.retrieval.late import query_vectors
from agentmem.pipelines.retrieval.lexical import Matches, Postings
from agentmem.pipelines.retrieval.query import ParsedQuery
from agentmem.pipelines.retrieval.signals import NAMES, Pool
from agentmem.pipelines.retrieval.weights import weights_for
from agentmem.schemas.memories import Signal

SIFTED_CANDIDATES = 400
"""Candidates to read when many of them may fail a filter."""


class QueryRanking:
    """Chooses, scores and orders the candidates of one query; pure but for remembering what it has computed.

    It ranks by words (``by_words``), by the query's embedding, or by both; ``seconds`` adds up the time spent here.
    """

    def __init__(self, query: ParsedQuery, embedding: Embedding | None, *, limit: int, by_words: bool) -> None:
        self.seconds = 0.0
        self._query, self._embedding, self._limit, self._by_words = query, embedding, limit, by_words
        self._weights = weights_for(
            query,
            by_words=by_words,
            by_meaning=embedding is not None,
            by_pieces=embedding is not None and embedding.tokens.shape[1] > 0,
        )
        self._words: Words | None = None
        self._matches: Matches
        self._found: FoundByWords
        self._nearest: Nearest | None = None
        self._chosen: NDArray[np.int64] = np.zeros(0, np.int64)
        self._fused: dict[int, tuple[float, NDArray[np.float32]]] = {}

    def weigh(self, words: Words) -> None:
        """Score the words, so that this can be done while the vectors are compared."""
        began = perf_counter()
        self._words = words
        postings = [_postings(found, words.within) for found in words.postings] if self._by_words else []
        self._matches = Matches(postings, words.statistics.documents, words.statistics.average_length)
        self._found = FoundByWords.of(self._matches, max(NEAREST_LIMIT, self._limit))
        self.seconds += perf_counter() - began

    def shortlist(self, nearest: Nearest | None, *, sifted: bool) -> NDArray[np.int64]:
        """Choose the places worth reading in full, with their neighbours, which may be found too."""
        began = perf_counter()
        self._nearest = nearest
        most = SIFTED_CANDIDATES if sifted else max(MOST_CANDIDATES, self._limit)
        self._chosen = choose(self._matches, self._found, nearest, most)
        if self._words is not None and self._words.within is not None:
            self._chosen = self._chosen[np.isin(self._chosen, self._words.within)]
        wanted = with_neighbours(self._chosen)
        self.seconds += perf_counter() - began
        return wanted

    def is_starved(self, candidates: Candidates) -> bool:
        """Whether fewer than half of the chosen places that hold a memory are seen."""
        missing = np.setdiff1d(self._chosen, candidates.places, assume_unique=True)
        if 2 * len(missing) <= len(self._chosen):
            return False  # even if a memory were at each place
        return bool(2 * self._is_held(missing).sum() > self._is_held(self._chosen).sum())

    def _is_held(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        by_words = self._matches.turn_scores(places) > 0
        return by_words if self._nearest is None else by_words | np.isin(places, self._nearest.places)

    def order(self, candidates: Candidates) -> Sequence[int]:
        """Give the places of the best candidates, best first."""
        if not len(candidates.places) or self._words is None:
            return []
        began = perf_counter()
        dimensions = 0 if self._embedding is None else self._embedding.tokens.shape[1]
        pool = Pool(
            places=candidates.places,
            days=candidates.days,
            lengths=candidates.lengths,
            speakers=candidates.speakers,
            entries=decode_all(candidates.entries, dimensions, candidates.embedded),
        )
        vectors = None
        if self._embedding is not None:
            idf = dict(zip(self._query.terms, self._matches.idf.tolist(), strict=True)) if self._by_words else {}
            vectors = query_vectors(self._query, self._embedding, idf)
        found = signals.gather(self._query, self._words.hashes, pool, self._matches, self._nearest, vectors)
        best = self._best(fuse(found, self._weights), pool.places)
        self.seconds += perf_counter() - began
        return best

    def _best(self, fused: Fused, places: NDArray[np.int64]) -> list[int]:
        # Ties are broken by place, so that a search gives the same order twice.
        ranked = np.lexsort((places, -fused.scores))[: self._limit]
        self._fused = {int(places[row]): (float(fused.scores[row]), fused.contributions[row]) for row in ranked}
        return list(self._fused)

    def score(self, place: int) -> float:
        """Give the score of a place that was ordered, from 0 to 1."""
        return self._fused[place][0]

    def explain(self, place: int) -> dict[str, Signal]:
        """Say what each signal added to the score of a place."""
        contributions = self._fused[place][1].tolist()
        named = {name: (value, getattr(self._weights, name)) for name, value in zip(NAMES, contributions, strict=True)}
        return {
            name: Signal(value=value / weight if weight else 0.0, contribution=value)
            for name, (value, weight) in named.items()
            if value
        }


def _postings(found: NDArray[np.void], within: NDArray[np.int64] | None) -> Postings:
    if within is not None:
        found = found[np.isin(found["place"], within)]
    return Postings(
        np.ascontiguousarray(found["place"]),
        np.ascontiguousarray(found["tf"]),
        np.ascontiguousarray(found["length"]),
    )
