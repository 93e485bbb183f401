from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agentmem.pipelines.retrieval.lexical import K1, REACH, B, Matches, Postings

Document = dict[str, int]
TERMS = ("a", "b", "c", "d")
PLACES = st.builds(lambda session, position: session << 20 | position, st.integers(1, 4), st.integers(16, 30))
COLLECTIONS = st.dictionaries(
    PLACES, st.dictionaries(st.sampled_from(TERMS), st.integers(1, 5), max_size=4), min_size=1, max_size=30
)


def postings(documents: dict[int, Document], term: str) -> Postings:
    rows = [(place, document[term], length(document)) for place, document in documents.items() if term in document]
    table = np.array(rows, np.int64).reshape(-1, 3)
    return Postings(table[:, 0], table[:, 1].astype(np.uint16), table[:, 2].astype(np.uint16))


def length(document: Document) -> int:
    return 3 + sum(document.values())


def average(documents: dict[int, Document]) -> float:
    return sum(map(length, documents.values())) / len(documents)


def matches(documents: dict[int, Document], terms: tuple[str, ...] = TERMS) -> Matches:
    return Matches([postings(documents, term) for term in terms], len(documents), average(documents))


def share(documents: dict[int, Document], frequency: Mapping[str, float], size: float) -> float:
    """BM25 by the book, over what it could be at most."""
    score = most = 0.0
    for term in TERMS:
        holding = sum(term in document for document in documents.values())
        idf = math.log(1 + (len(documents) - holding + 0.5) / (holding + 0.5))
        tf = frequency.get(term, 0)
        score += idf * tf * (K1 + 1) / (tf + K1 * (1 - B + B * size / average(documents)))
        most += idf * (K1 + 1)
    return score / most


@given(COLLECTIONS)
def test_turn_scores_are_bm25_by_the_book(documents: dict[int, Document]) -> None:
    places = np.array(sorted(documents), np.int64)
    found = matches(documents).turn_scores(places)
    expected = [share(documents, dict(documents[place]), length(documents[place])) for place in places.tolist()]
    assert np.allclose(found, expected, atol=1e-5)


@given(COLLECTIONS)
def test_window_scores_are_bm25_of_the_five_turns_around(documents: dict[int, Document]) -> None:
    places = np.array(sorted(documents), np.int64)
    expected = []
    for place in places.tolist():
        around = [documents.get(place + offset, {}) for offset in range(-REACH, REACH + 1)]
        frequency = {term: sum(document.get(term, 0) for document in around) for term in TERMS}
        sizes = [length(document) if document else average(documents) for document in around]
        expected.append(share(documents, frequency, sum(sizes) / len(sizes)))
    assert np.allclose(matches(documents).window_scores(places), expected, atol=1e-5)


@given(COLLECTIONS, st.integers(1, 40))
def test_the_best_turns_are_those_with_the_highest_scores(documents: dict[int, Document], count: int) -> None:
    found = matches(documents)
    best = found.best(count)
    kept, others = found.turn_scores(best), found.turn_scores(np.setdiff1d(found.places, best))
    assert len(set(best.tolist())) == len(best) <= count
    assert not len(others) or not len(kept) or kept.min() >= others.max()


@given(COLLECTIONS)
def test_a_turn_beside_a_match_is_among_the_best_windows(documents: dict[int, Document]) -> None:
    found = matches(documents)
    beside = {place + offset for place in found.places.tolist() for offset in range(-REACH, REACH + 1)}
    expected = {place for place in beside if place & 0xFFFFF >= 16}
    assert set(found.best_windows(10_000).tolist()) == expected


@given(COLLECTIONS, st.randoms())
def test_the_order_of_postings_does_not_matter(documents: dict[int, Document], chance: object) -> None:
    items = list(documents.items())
    chance.shuffle(items)  # type: ignore[attr-defined]  # a random.Random
    one, other = matches(documents), matches(dict(items))
    assert np.array_equal(one.places, other.places)
    assert np.allclose(one.scores, other.scores)


@given(COLLECTIONS)
def test_scores_lie_between_0_and_1(documents: dict[int, Document]) -> None:
    found = matches(documents)
    windows = found.window_scores(found.best_windows(1000))
    for scores in (found.scores, windows):
        assert (scores >= 0).all()
        assert (scores <= 1).all()


def test_nothing_is_found_without_postings() -> None:
    found = Matches([], 0, 0.0)
    empty = Matches([Postings(np.zeros(0, np.int64), np.zeros(0, np.uint16), np.zeros(0, np.uint16))], 10, 4.0)
    for each in (found, empty):
        assert not len(each.best(5))
        assert not len(each.best_windows(5))
        assert each.turn_scores(np.array([5], np.int64)).tolist() == [0]
        assert each.window_scores(np.array([5], np.int64)).tolist() == [0]


def test_a_rarer_term_counts_more() -> None:
    documents = {1 << 20 | number: {"a": 1} for number in range(16, 24)} | {2 << 20 | 16: {"b": 1}}
    idf = matches(documents, ("a", "b")).idf.tolist()
    assert all(common < rare for common, rare in pairwise(idf))
