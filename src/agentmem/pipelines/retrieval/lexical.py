"""Exact BM25 over postings, for a turn and for the window of turns around it.

Robertson & Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with the idf that is never
negative; a window is scored as one document made of the turns up to two places away in the same session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentmem.features.memories.model import can_hold

K1: Final = 0.9
B: Final = 0.4
REACH: Final = 2
"""Turns on either side that belong to a turn's window."""

_HEARD: Final = 8192
"""How many of the best turns are summed up into windows."""
_APART: Final = 2 * REACH + 1

Places = NDArray[np.int64]
Floats = NDArray[np.float32]


class Postings(NamedTuple):
    """Where one term occurs: the places of memories, its frequency in each, and the length of each; in any order."""

    places: Places
    frequencies: NDArray[np.uint16]
    lengths: NDArray[np.uint16]


class Matches:
    """The memories of a scope that hold a term of a query, scored.

    ``places`` are sorted, ``scores`` belong to the single turns, ``idf`` is the rarity of each term in the order the
    postings were given. A score is BM25 as a share, 0 to 1, of what a document made of nothing but the query's terms
    could reach, so that the scores of different queries can be compared.
    """

    def __init__(self, postings: Sequence[Postings], documents: int, average_length: float) -> None:
        """Score all places; ``documents`` and ``average_length`` describe the whole scope."""
        self._average = max(average_length, 1.0)
        self.idf = _idf(postings, documents)
        self._weights = self.idf / max(float(self.idf.sum()), 1e-9)
        places = np.concatenate([found.places for found in postings]) if postings else np.zeros(0, np.int64)
        order = np.argsort(places, kind="stable")
        places = places[order]
        first = np.ones(len(places), np.bool_)
        np.not_equal(places[1:], places[:-1], out=first[1:])
        row_in_order = np.cumsum(first) - 1
        self.places: Places = places[first]
        rows = np.empty(len(places), np.int64)
        rows[order] = row_in_order
        # One column more than there are places: 0, for all places that hold no term.
        self._frequencies: Floats = np.zeros((len(postings), len(self.places) + 1), np.float32)
        self.lengths: Floats = np.zeros(len(self.places), np.float32)
        self.scores: Floats = np.zeros(len(self.places), np.float32)
        begin = 0
        for found, weight, frequencies in zip(postings, self._weights, self._frequencies, strict=True):
            row = rows[begin : begin + len(found.places)]
            begin += len(found.places)
            frequency = found.frequencies.astype(np.float32)
            length = found.lengths.astype(np.float32)
            self.lengths[row] = length
            # Places of one term differ, so that adding by index counts every posting.
            self.scores[row] += weight * self._saturated(frequency, length)
            frequencies[row] = frequency

    def best(self, count: int) -> Places:
        """Give the places of the best turns, in no order."""
        return self.places[_top(self.scores, count)]

    def best_windows(self, count: int) -> Places:
        """Give the places whose windows hold most of the turns' scores, in no order; they need not match themselves."""
        # What the weakest turns of a large scope would add to a window changes nothing among the best ones.
        kept = np.sort(_top(self.scores, _HEARD))
        if not len(kept):
            return self.places[:0]
        places = self.places[kept]
        # Places on a line of their own, with long gaps cut short, so that a window is a sum of neighbours in an array.
        slots = np.cumsum(np.minimum(np.diff(places, prepend=places[0]), _APART)) + REACH
        line = np.zeros(int(slots[-1]) + 1 + REACH, np.float32)
        line[slots] = self.scores[kept]
        place_of = np.zeros(len(line), np.int64)
        windows = line.copy()
        for offset in range(-REACH, REACH + 1):
            place_of[slots + offset] = places + offset
            if offset > 0:
                windows[offset:] += line[:-offset]
                windows[:-offset] += line[offset:]
        windows[~can_hold(place_of)] = 0
        return place_of[_top(windows, count)]

    def turn_scores(self, places: Places) -> Floats:
        """Give the score of each of these places; 0 where no term occurs."""
        if not len(self.places):
            return np.zeros(len(places), np.float32)
        rows, found = self._find(places)
        return np.where(found, self.scores[rows], 0).astype(np.float32)

    def window_scores(self, places: Places) -> Floats:
        """Give the score of the window around each of these places, as one document."""
        if not len(self.places):
            return np.zeros(len(places), np.float32)
        rows, found = self._find(np.arange(-REACH, REACH + 1)[:, None] + places)
        # A neighbour without any of the terms is taken to be of average length.
        length = np.where(found, self.lengths[rows], self._average).mean(0).astype(np.float32)
        turns = np.where(found, rows, -1)
        frequencies = self._frequencies[:, turns[0]]
        for neighbours in turns[1:]:
            frequencies += self._frequencies[:, neighbours]
        return (self._weights @ self._saturated(frequencies, length)).astype(np.float32)

    def _find(self, places: Places) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        rows = np.minimum(np.searchsorted(self.places, places), len(self.places) - 1)
        return rows, self.places[rows] == places

    def _saturated(self, frequency: Floats, length: Floats) -> Floats:
        bottom = frequency + K1 * (1 - B) + (K1 * B / self._average) * length
        share: Floats = np.divide(frequency, bottom, dtype=np.float32)
        return share


def _idf(postings: Sequence[Postings], documents: int) -> Floats:
    holding = np.array([len(found.places) for found in postings], np.float32)
    return np.log1p((np.maximum(documents - holding, 0) + 0.5) / (holding + 0.5)).astype(np.float32)


def _top(scores: Floats, count: int) -> NDArray[np.int64]:
    if len(scores) <= count:
        return np.flatnonzero(scores)
    chosen = np.argpartition(scores, len(scores) - count)[len(scores) - count :]
    return chosen[scores[chosen] > 0]
