"""The signals of a ranking: what each candidate shows of being the answer, one number for each question asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentmem.features.memories.index_entry import OpenedEntries
from agentmem.features.memories.index_reading import Nearest
from agentmem.kit.text.times import TimeMention
from agentmem.pipelines.retrieval import late
from agentmem.pipelines.retrieval.late import QueryVectors
from agentmem.pipelines.retrieval.lexical import Matches
from agentmem.pipelines.retrieval.query import ParsedQuery

Floats = NDArray[np.float32]
Places = NDArray[np.int64]

PIECES_FLOOR: Final = 0.35
MEANING_FLOOR: Final = 0.1
"""Cosines that unrelated texts show."""
NOTHING: Final = 1e-9
_TINY: Final = np.float32(1e-30)

THREAD_REACH: Final = 12.0
"""By how many turns a memory may lie from the heart of its conversation until its part falls to 1/e."""
_OUT_OF_REACH: Final = 1_000
_LONG: Final = 5.0
"""The logarithm of the length from which on a text counts as long."""
_NEARNESS_DAYS: Final = 14.0
"""By how many days a date may miss until its nearness falls to 1/e."""
_VAGUE_DAYS: Final = 30.0
"""By how many days a named time may be longer than the asked one until its weight halves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """The memories that are ranked, one row each: ``places`` sorted, without repeats, all lists of the same length.

    ``days`` are ordinals of ``occurred_at``, ``lengths`` the numbers of terms, ``speakers`` the keyed hashes of the
    speaker's words.
    """

    places: Places
    days: NDArray[np.int64]
    lengths: NDArray[np.int64]
    speakers: Sequence[Sequence[int]]
    entries: OpenedEntries


@dataclass(frozen=True, kw_only=True, slots=True)
class Signals:
    """One column for each signal, one number for each row of the pool.

    ``words``, ``words_around``: BM25 of the turn, and of its window of five. ``pieces``, ``pieces_around``: late
    interaction with the turn, and with it and its direct neighbours. ``thread``: how near the turn is to the place of
    its conversation that fits the query best, times how well that one fits (by pieces, else by words). ``meaning``:
    cosine of the pooled vectors, mean of the turn and its direct neighbours. ``speaker``: +1/-1 whether the only person
    named in the query speaks; ``first_speaker``: the same for the first of several. ``answers``: the turn before asked
    something; ``asks``: this one does. ``length``: logarithm of the length. ``tells_when``: a time is asked for, and
    one is named. ``date``: nearness of the day to the asked one; ``mention``: a time named in the text overlaps it.
    """

    words: Floats
    words_around: Floats
    pieces: Floats
    pieces_around: Floats
    thread: Floats
    meaning: Floats
    speaker: Floats
    first_speaker: Floats
    answers: Floats
    asks: Floats
    length: Floats
    tells_when: Floats
    date: Floats
    mention: Floats


NAMES: Final = tuple(field.name for field in fields(Signals))


def gather(  # noqa: PLR0917 - a pool is judged by all that is known of the query, which has no other home
    query: ParsedQuery,
    hashes: Sequence[int],
    pool: Pool,
    matches: Matches,
    nearest: Nearest | None,
    vectors: QueryVectors | None,
) -> Signals:
    """Compute all signals of a pool.

    ``hashes`` are the keyed hashes of the query's terms in its order; ``nearest`` and ``vectors`` are ``None`` for a
    search by words alone.
    """
    around = neighbours(pool.places, 2)
    rows = around[:, 1:-1]
    none = np.zeros(len(pool.places), np.float32)
    words_around = matches.window_scores(pool.places)
    pieces, pieces_around, fits = none, none, spread(words_around, 0)
    if vectors is not None:
        best = late.best_matches(vectors, pool.entries.tokens, pool.entries.pieces)
        windows = late.around(best, around)
        pieces = late.total(best, vectors)
        pieces_around = late.total(windows[:, 1:-1].max(1), vectors)
        fits = spread(late.total(windows.max(1), vectors), PIECES_FLOOR)
    asks = pool.entries.is_question.astype(np.float32)
    speaker, first = _speakers(hashes, pool.speakers)
    date, mention = _times(query.windows, pool)
    return Signals(
        words=matches.turn_scores(pool.places),
        words_around=words_around,
        pieces=pieces,
        pieces_around=pieces_around,
        thread=_threads(pool.places, fits),
        meaning=none if nearest is None else _around(nearest.at(pool.places), rows),
        speaker=speaker,
        first_speaker=first,
        answers=_before(asks, rows),
        asks=asks,
        length=np.minimum(np.log1p(pool.lengths) / _LONG, 1).astype(np.float32),
        tells_when=pool.entries.has_time.astype(np.float32) if query.asks_when else none,
        date=date,
        mention=mention,
    )


def neighbours(places: Places, reach: int) -> NDArray[np.int64]:
    """Give for each sorted place the rows of places up to ``reach`` away, itself in the middle, -1 for none."""
    wanted = places[:, None] + np.arange(-reach, reach + 1)
    if not len(places):
        return wanted
    rows = np.minimum(np.searchsorted(places, wanted), len(places) - 1)
    return np.where(places[rows] == wanted, rows, -1)


def spread(values: Floats, floor: float) -> Floats:
    """Stretch values over 0..1 by their least and greatest.

    ``floor`` is what an unrelated memory shows: the least counts as no higher than that, so that in a pool of nothing
    but good matches none falls to 0.
    """
    if not len(values):
        return values
    low, high = min(float(values.min()), floor), float(values.max())
    return ((values - low) / (high - low)).astype(np.float32) if high - low > NOTHING else np.zeros_like(values)


def _threads(places: Places, fits: Floats) -> Floats:
    """Give the greatest of all fits, each fading with the distance to where it is: one walk up and one down."""
    if not len(places):
        return fits
    # Places of different sessions lie a million apart: a gap this wide leaves nothing of any fit.
    along = np.cumsum(np.minimum(np.diff(places, prepend=places[0]), _OUT_OF_REACH)) / THREAD_REACH
    heights = np.log(np.maximum(fits, _TINY))
    up = np.maximum.accumulate(heights + along) - along
    down = np.maximum.accumulate((heights - along)[::-1])[::-1] + along
    return np.exp(np.maximum(up, down)).astype(np.float32)


def _around(values: Floats, rows: NDArray[np.int64]) -> Floats:
    there = rows >= 0
    return (np.where(there, values[rows], 0).sum(1) / there.sum(1)).astype(np.float32) if len(values) else values


def _before(values: Floats, rows: NDArray[np.int64]) -> Floats:
    return np.where(rows[:, 0] >= 0, values[rows[:, 0]], 0).astype(np.float32) if len(values) else values


def _speakers(hashes: Sequence[int], speakers: Sequence[Sequence[int]]) -> tuple[Floats, Floats]:
    none = np.zeros(len(speakers), np.float32)
    known = set().union(*speakers)
    named = [word for word in hashes if word in known]
    if not named:
        return none, none
    speaks = np.array([1.0 if named[0] in words else -1.0 for words in speakers], np.float32)
    return (speaks, none) if len(named) == 1 else (none, speaks)


def _times(windows: Sequence[TimeMention], pool: Pool) -> tuple[Floats, Floats]:
    date = np.zeros(len(pool.places), np.float32)
    mention = np.zeros(len(pool.places), np.float32)
    for window in windows:
        gap = np.maximum(np.maximum(window.first - pool.days, pool.days - window.last), 0)
        np.maximum(date, np.exp(-gap / _NEARNESS_DAYS), out=date, casting="same_kind")
        for row in range(len(pool.places)):
            for first, last in pool.entries.mentions(row):
                if first <= window.last and last >= window.first:
                    vague = max(0, (last - first) - (window.last - window.first)) / _VAGUE_DAYS
                    mention[row] = max(mention[row], 1 / (1 + vague))
    return date, mention
