"""The ranking of one search: which places to read, and their order."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from agentmem.features.memories.index_entry import decode_all
from agentmem.features.memories.index_reading import Candidates
from agentmem.features.memories.searching import Gathered, Words
from agentmem.foundation.inference.port import Embedding
from agentmem.pipelines.retrieval import signals
from agentmem.pipelines.retrieval.fuse import MOST_CANDIDATES, FoundByWords, Fused, choose, fuse, with_neighbours
from agentmem.pipelines.retrieval.late import query_vectors
from agentmem.pipelines.retrieval.lexical import Matches, Postings
from agentmem.pipelines.retrieval.query import ParsedQuery
from agentmem.pipelines.retrieval.signals import NAMES, Nearest, Pool
from agentmem.pipelines.retrieval.weights import WORDS_ONLY, weights_for
from agentmem.schemas.memories import Signal

SIFTED_CANDIDATES = 400
"""Candidates to read when many of them may fail a filter."""


class QueryRanking:
    """Chooses, scores and orders the candidates of one query; pure but for remembering what it has computed.

    It scores the words when it is made, so that this can be done while the query is embedded; ``by_words`` is off for a
    search by meaning alone. ``seconds`` adds up the time spent in the search itself.
    """

    def __init__(self, query: ParsedQuery, words: Words, *, limit: int, by_words: bool) -> None:
        self.seconds = 0.0
        self._query, self._limit, self._by_words = query, limit, by_words
        self._embedding: Embedding | None = None
        self._weights = WORDS_ONLY
        self._chosen: NDArray[np.int64] = np.zeros(0, np.int64)
        self._gathered: Gathered | None = None
        self._matches = self._matched(words, None)
        self._by_words_alone = FoundByWords.of(self._matches)
        self._nearest: Nearest | None = None
        self._fused: dict[int, tuple[float, NDArray[np.float32]]] = {}

    def embedded(self, embedding: Embedding | None) -> None:
        """Take the query's embedding; none for a search by words alone."""
        self._embedding = embedding
        self._weights = weights_for(
            self._query,
            by_words=self._by_words,
            by_meaning=embedding is not None,
            by_pieces=embedding is not None and embedding.tokens.shape[1] > 0,
        )

    def shortlist(self, gathered: Gathered) -> NDArray[np.int64]:
        """Choose the places worth reading in full, with their neighbours, which may be found too."""
        began = perf_counter()
        self._gathered = gathered
        if gathered.within is not None:
            self._matches = self._matched(gathered.words, gathered.within)
            self._by_words_alone = FoundByWords.of(self._matches)
        if self._embedding is not None:
            self._nearest = Nearest(places=gathered.nearest, similarities=gathered.similarities)
        most = SIFTED_CANDIDATES if gathered.sifted else max(MOST_CANDIDATES, self._limit)
        self._chosen = choose(self._matches, self._by_words_alone, self._nearest, most)
        if gathered.within is not None:
            self._chosen = self._chosen[np.isin(self._chosen, gathered.within)]
        wanted = with_neighbours(self._chosen)
        self.seconds += perf_counter() - began
        return wanted

    def _matched(self, words: Words, within: NDArray[np.int64] | None) -> Matches:
        postings = [_postings(found, within) for found in words.postings] if self._by_words else []
        return Matches(postings, words.statistics.documents, words.statistics.average_length)

    def is_starved(self, candidates: Candidates) -> bool:
        """Whether fewer than half of the chosen places that hold a memory are seen."""
        held = set(self._chosen[self._matches.turn_scores(self._chosen) > 0].tolist())
        if self._nearest is not None:
            held.update(self._nearest.places.tolist())
            held.intersection_update(self._chosen.tolist())
        return 2 * len(held.intersection(candidates.places.tolist())) < len(held)

    def order(self, candidates: Candidates) -> Sequence[int]:
        """Give the places of the best candidates, best first."""
        if not len(candidates.places) or self._gathered is None:
            return []
        began = perf_counter()
        model = self._gathered.words.statistics.model
        dimensions = 0 if self._embedding is None else self._embedding.tokens.shape[1]
        pool = Pool(
            places=candidates.places,
            days=candidates.days,
            lengths=candidates.lengths,
            speakers=candidates.speakers,
            entries=decode_all(candidates.entries, dimensions, [found == model for found in candidates.models]),
        )
        vectors = None
        if self._embedding is not None:
            idf = dict(zip(self._query.terms, self._matches.idf.tolist(), strict=True)) if self._by_words else {}
            vectors = query_vectors(self._query, self._embedding, idf)
        found = signals.gather(self._query, self._gathered.words.hashes, pool, self._matches, self._nearest, vectors)
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
