"""Choosing candidates by cheap signals, and fusing all signals of the chosen into one score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentmem.features.memories.index_reading import NEAREST_LIMIT, Nearest
from agentmem.features.memories.model import can_hold
from agentmem.pipelines.retrieval.lexical import Matches
from agentmem.pipelines.retrieval.signals import MEANING_FLOOR, NAMES, NOTHING, PIECES_FLOOR, Signals, spread
from agentmem.pipelines.retrieval.weights import Weights

Floats = NDArray[np.float32]
Places = NDArray[np.int64]

MOST_CANDIDATES: Final = 48
"""How many memories are chosen for a full look, their neighbours not counted; 128 gain 0.4 points of recall."""
REACH: Final = 2
"""How far the neighbours lie that are read, and may be found, together with a candidate."""

_SURE_OF_A_LOOK: Final = 8
_CHOICE_WORDS, _CHOICE_WINDOW, _CHOICE_MEANING, _CHOICE_AROUND = 0.3, 1.0, 0.5, 2.0
"""Weights of the cheap signals; the meaning of the turns around tells most of what a full look will find."""

_FLOORS: Final = {
    "words": 0.0,
    "words_around": 0.0,
    "pieces": PIECES_FLOOR,
    "pieces_around": PIECES_FLOOR,
    "meaning": MEANING_FLOOR,
}
"""Signals that are stretched over 0..1 within the pool, with what an unrelated memory shows of each."""
_STRETCHED: Final = tuple(NAMES.index(name) for name in _FLOORS)
_ALWAYS_POSSIBLE: Final = tuple(name in _FLOORS or name == "thread" for name in NAMES)
_PROOFS: Final = {"words_around": (0.05, 0.6), "pieces": (0.35, 0.85), "meaning": (0.15, 0.6)}
"""From where to where the best of a signal proves that the pool holds an answer at all, measured on queries asked of
the right and of a wrong conversation."""
_LEAST_SURE: Final = 0.05
"""So that even a pool without any proof keeps its order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fused:
    """The outcome for each row of a pool.

    ``scores`` are in 0..1 and comparable between queries: the row's standing in its pool, times how sure it is that the
    pool holds an answer. ``contributions``, ``(rows, signals)`` in the order of ``NAMES``, is what each signal added
    to the score; a row of it sums to the score, unless that was cut off at 0 or 1.
    """

    scores: Floats
    contributions: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundByWords:
    """What the words alone find: the best turns, those of the best windows, and those that are sure of a full look."""

    best: Places
    windows: Places
    sure: Places

    @classmethod
    def of(cls, matches: Matches, most: int = NEAREST_LIMIT) -> FoundByWords:
        """Choose among all places that hold a term, so many of each sort at the most."""
        return cls(best=matches.best(most), windows=matches.best_windows(most), sure=matches.best(_SURE_OF_A_LOOK))


def choose(matches: Matches, found: FoundByWords, nearest: Nearest | None, most: int = MOST_CANDIDATES) -> Places:
    """Choose the places worth a full look, sorted: the best by words and meaning, alone and with what stands around."""
    arms = [found.best, found.windows]
    if nearest is not None:
        arms.append(nearest.places)
    places = np.unique(np.concatenate(arms))
    places = places[can_hold(places)]
    if len(places) <= most:
        return places
    score = _CHOICE_WORDS * spread(matches.turn_scores(places), 0)
    score += _CHOICE_WINDOW * spread(matches.window_scores(places), 0)
    if nearest is not None:
        meaning = nearest.at(places[:, None] + np.arange(-1, 2))
        least, greatest = float(meaning.min()), float(nearest.similarities.max(initial=0))
        meaning = (meaning - least) / max(greatest - least, 1e-9)
        score += _CHOICE_MEANING * meaning[:, 1] + _CHOICE_AROUND * meaning.mean(1)
    best = places[np.argpartition(score, len(score) - most)[len(score) - most :]]
    # The best by words alone, whatever their meaning: a rare word is found though every vector speaks against it.
    return np.union1d(best, found.sure)


def with_neighbours(places: Places) -> Places:
    """Give the places and those around them, sorted and without repeats; not all of them need exist."""
    around = np.unique(places[:, None] + np.arange(-REACH, REACH + 1))
    return around[can_hold(around)]


def fuse(signals: Signals, weights: Weights) -> Fused:
    """Fuse the signals of a pool into one score a row: a weighted sum, as a share of what it could be.

    What a signal cannot show for this query (no person named, no date asked for) does not count against anybody.
    """
    columns, factors = stretched(signals), np.array([getattr(weights, name) for name in NAMES], np.float32)
    shown = np.array(_ALWAYS_POSSIBLE) | ((factors > 0) & (np.abs(columns).max(0, initial=0) > 0))
    possible = float(np.maximum(factors, 0)[shown].sum())
    scale = _sureness(signals, weights) / max(possible, 1e-9)
    contributions = columns * (factors * np.float32(scale))
    return Fused(scores=np.clip(contributions.sum(1), 0, 1).astype(np.float32), contributions=contributions)


def stretched(signals: Signals) -> Floats:
    """Give the signals as they are weighted, ``(rows, signals)``: as they are, or stretched over 0..1 in the pool."""
    columns: Floats = np.stack([getattr(signals, name) for name in NAMES], axis=1)
    if len(columns):
        chosen = columns[:, _STRETCHED]
        low = np.minimum(chosen.min(0), np.array(list(_FLOORS.values()), np.float32))
        reach = chosen.max(0) - low
        columns[:, _STRETCHED] = np.where(reach > NOTHING, (chosen - low) / np.maximum(reach, NOTHING), 0)
    return columns


def _sureness(signals: Signals, weights: Weights) -> float:
    """How sure it is that the pool holds an answer: the mean of what the best of each independent signal proves."""
    proofs = [
        min(1.0, max(0.0, (float(getattr(signals, name).max(initial=0)) - low) / (high - low)))
        for name, (low, high) in _PROOFS.items()
        if getattr(weights, name) > 0
    ]
    return max(_LEAST_SURE, sum(proofs) / len(proofs)) if proofs else _LEAST_SURE
