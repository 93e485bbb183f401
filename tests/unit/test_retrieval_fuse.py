from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from agentmem.features.memories.index_entry import SealedEntry, decode_all, encode
from agentmem.features.memories.index_reading import Nearest
from agentmem.pipelines.retrieval.fuse import FoundByWords, choose, fuse, with_neighbours
from agentmem.pipelines.retrieval.lexical import Matches, Postings
from agentmem.pipelines.retrieval.query import parse_query
from agentmem.pipelines.retrieval.signals import (
    NAMES,
    THREAD_REACH,
    Pool,
    Signals,
    _threads,
    gather,
    neighbours,
)
from agentmem.pipelines.retrieval.weights import (
    MEANING_ONLY,
    POOLED_VECTORS,
    WITH_MODEL,
    WORDS_FIRST,
    WORDS_ONLY,
    Weights,
    weights_for,
)

NOW = datetime(2024, 1, 1, tzinfo=UTC)
ALL_WEIGHTS = pytest.mark.parametrize("weights", [WITH_MODEL, MEANING_ONLY, WORDS_ONLY, WORDS_FIRST])
SIGNED = {"speaker", "first_speaker"}


@st.composite
def signal_tables(draw: st.DrawFn) -> Signals:
    steps = draw(hnp.arrays(np.int8, st.tuples(st.integers(1, 12), st.just(len(NAMES))), elements=st.integers(0, 20)))
    return Signals(
        **{
            name: np.sign(column - 10) if name in SIGNED else column / np.float32(20)
            for name, column in zip(NAMES, steps.T.astype(np.float32), strict=True)
        }
    )


def rows_of(signals: Signals, order: NDArray[np.int64]) -> Signals:
    return Signals(**{name: getattr(signals, name)[order] for name in NAMES})


@ALL_WEIGHTS
@given(signals=signal_tables())
def test_scores_lie_between_0_and_1(weights: Weights, signals: Signals) -> None:
    scores = fuse(signals, weights).scores
    assert (scores >= 0).all()
    assert (scores <= 1).all()


@ALL_WEIGHTS
@given(signals=signal_tables(), chance=st.randoms())
def test_the_order_of_the_rows_does_not_matter(weights: Weights, signals: Signals, chance: object) -> None:
    order = list(range(len(signals.words)))
    chance.shuffle(order)  # type: ignore[attr-defined]  # a random.Random
    shuffled = fuse(rows_of(signals, np.array(order)), weights)
    assert np.allclose(shuffled.scores, fuse(signals, weights).scores[order], atol=1e-5)


@ALL_WEIGHTS
@given(signals=signal_tables(), row=st.integers(0, 11), name=st.sampled_from(NAMES), more=st.floats(0.01, 1))
def test_a_stronger_signal_never_puts_a_row_behind_another(
    weights: Weights, signals: Signals, row: int, name: str, more: float
) -> None:
    assume(row < len(signals.words) and getattr(weights, name) >= 0 and name not in SIGNED)
    column = getattr(signals, name).copy()
    column[row] = min(1.0, column[row] + more)
    before = fuse(signals, weights).contributions.sum(1)
    after = fuse(replace(signals, **{name: column}), weights).contributions.sum(1)
    behind = before < before[row] - 1e-5
    assert (after[behind] <= after[row] + 1e-5).all()


@ALL_WEIGHTS
@given(signals=signal_tables())
def test_contributions_explain_the_score(weights: Weights, signals: Signals) -> None:
    fused = fuse(signals, weights)
    assert fused.contributions.shape == (len(fused.scores), len(NAMES))
    assert np.allclose(np.clip(fused.contributions.sum(1), 0, 1), fused.scores, atol=1e-5)


def test_weights_and_signals_have_the_same_names() -> None:
    assert tuple(field.name for field in fields(Weights)) == NAMES


def test_the_only_memory_that_matches_in_everything_scores_high_and_one_that_does_not_scores_low() -> None:
    strong = {"words": 0.9, "words_around": 0.8, "pieces": 0.95, "pieces_around": 0.95, "thread": 1.0, "meaning": 0.9}
    weak = {"words": 0.0, "words_around": 0.0, "pieces": 0.4, "pieces_around": 0.45, "thread": 1.0, "meaning": 0.2}
    scores = []
    for shown in (strong, weak):
        table = {name: np.array([shown.get(name, 0.0)], np.float32) for name in NAMES}
        scores.append(float(fuse(Signals(**table), WITH_MODEL).scores[0]))
    assert scores[0] > 0.9
    assert scores[1] < 0.2


def test_an_empty_pool_has_no_scores() -> None:
    table = {name: np.zeros(0, np.float32) for name in NAMES}
    assert fuse(Signals(**table), WITH_MODEL).scores.shape == (0,)


@pytest.mark.parametrize(
    "text,searched_with,expected",
    [
        ("where is the boat", "words meaning pieces", WITH_MODEL),
        ("where is the boat", "words meaning", POOLED_VECTORS),
        ("小船在哪里", "words meaning pieces", WORDS_FIRST),
        ("where is the boat", "meaning pieces", MEANING_ONLY),
        ("where is the boat", "words", WORDS_ONLY),
        ("", "words meaning pieces", WITH_MODEL),
    ],
)
def test_weights_follow_what_a_query_is_searched_with(text: str, searched_with: str, expected: Weights) -> None:
    by_words, by_meaning, by_pieces = (name in searched_with for name in ("words", "meaning", "pieces"))
    weights = weights_for(parse_query(text, NOW), by_words=by_words, by_meaning=by_meaning, by_pieces=by_pieces)
    assert weights is expected


def places(*positions: tuple[int, int]) -> NDArray[np.int64]:
    return np.array([session << 20 | position for session, position in positions], np.int64)


def test_matches_of_either_arm_are_chosen_and_no_more_than_asked_for() -> None:
    words = places(*((1, 16 + 5 * number) for number in range(40)))
    meaning = places(*((2, 16 + 5 * number) for number in range(40)))
    matches = Matches([Postings(words, np.ones(40, np.uint16), np.full(40, 9, np.uint16))], 100, 9.0)
    nearest = Nearest(places=meaning, similarities=np.linspace(0.9, 0.1, 40, dtype=np.float32))
    chosen = choose(matches, FoundByWords.of(matches), nearest, 50)
    assert len(chosen) == 50
    assert meaning[0] in chosen
    assert len(np.intersect1d(chosen, words))
    assert set(choose(matches, FoundByWords.of(matches), None, 1000).tolist()) == {
        *matches.best(64).tolist(),
        *matches.best_windows(64).tolist(),
    }


def test_neighbours_are_asked_for_once_and_only_in_their_session() -> None:
    chosen = places((1, 16), (1, 18), (2, 16))
    wanted = with_neighbours(chosen)
    assert (wanted - (1 << 20)).tolist()[:5] == [16, 17, 18, 19, 20]
    assert len(wanted) == 5 + 3
    rows = neighbours(chosen, 2)
    assert rows.tolist() == [[-1, -1, 0, -1, 1], [0, -1, 1, -1, -1], [-1, -1, 2, -1, -1]]


def entry(*, is_question: bool = False, mentions: tuple[tuple[int, int], ...] = ()) -> SealedEntry:
    return SealedEntry(
        is_question=is_question, has_time=bool(mentions), mentions=mentions, tokens=np.zeros((0, 0), np.int8)
    )


def gathered(text: str, pool: Pool, hashes: tuple[int, ...] = ()) -> Signals:
    return gather(parse_query(text, NOW), hashes, pool, Matches([], 0, 0.0), None, None)


def pool_of(
    entries: list[SealedEntry], *, speakers: list[list[int]] | None = None, days: list[int] | None = None
) -> Pool:
    count = len(entries)
    return Pool(
        places=places(*((1, 16 + number) for number in range(count))),
        days=np.array(days or [NOW.toordinal()] * count, np.int64),
        lengths=np.full(count, 10, np.int64),
        speakers=speakers or [[]] * count,
        entries=decode_all([encode(one) for one in entries], 0, [True] * count),
    )


def test_what_follows_a_question_may_be_its_answer() -> None:
    found = gathered("boat", pool_of([entry(is_question=True), entry(), entry()]))
    assert found.answers.tolist() == [0, 1, 0]
    assert found.asks.tolist() == [1, 0, 0]


def test_the_speaker_who_is_named_stands_out() -> None:
    pool = pool_of([entry(), entry()], speakers=[[7], [8, 9]])
    assert gathered("x", pool, (7,)).speaker.tolist() == [1, -1]
    assert gathered("x", pool, (9, 7)).first_speaker.tolist() == [-1, 1]
    assert not gathered("x", pool, (9, 7)).speaker.any()
    assert not gathered("x", pool, (5,)).speaker.any()


def test_days_count_by_how_near_they_are_to_the_asked_time() -> None:
    may = datetime(2023, 5, 10, tzinfo=UTC).toordinal()
    pool = pool_of([entry(), entry(mentions=((may, may),)), entry()], days=[may, may + 200, may + 40])
    found = gathered("What happened in May 2023?", pool)
    assert found.date[0] == 1
    assert found.date[0] > found.date[2] > found.date[1]
    assert found.mention.tolist() == [0, 1, 0]
    assert not gathered("What happened?", pool).date.any()


def test_a_named_time_counts_when_a_time_is_asked_for() -> None:
    pool = pool_of([entry(mentions=((1, 1),)), entry()])
    assert gathered("When did it happen?", pool).tells_when.tolist() == [1, 0]
    assert not gathered("What happened?", pool).tells_when.any()


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(16, 400)), min_size=1, max_size=40, unique=True),
    st.randoms(use_true_random=False),
)
def test_a_thread_is_the_best_fit_fading_with_the_distance_to_it(
    given_places: list[tuple[int, int]], chance: Random
) -> None:
    where = np.sort(places(*given_places))
    fits = np.array([chance.choice([0.0, chance.random()]) for _ in where], np.float32)
    every = np.exp(-np.abs(where[:, None] - where[None, :]) / THREAD_REACH) * fits[None, :]
    assert np.allclose(_threads(where, fits), every.max(1), atol=1e-5)


def test_every_signal_has_one_number_for_each_row() -> None:
    for count in (0, 1, 3):
        found = gathered("When was it?", pool_of([entry()] * count))
        assert all(getattr(found, name).shape == (count,) for name in NAMES)
