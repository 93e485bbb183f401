from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pytest
from numpy.typing import NDArray

from agentmem.pipelines.retrieval.late import QueryVectors, around, best_matches, query_vectors
from agentmem.pipelines.retrieval.query import parse_query

NOW = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Vectors:
    tokens: NDArray[np.int8]
    spans: NDArray[np.int32]


def matrices(seed: int, sizes: list[int], dimensions: int) -> list[NDArray[np.int8]]:
    chance = np.random.default_rng(seed)
    return [chance.integers(-127, 128, (size, dimensions)).astype(np.int8) for size in sizes]


def query(seed: int, pieces: int, dimensions: int) -> QueryVectors:
    vectors = np.random.default_rng(seed).normal(size=(pieces, dimensions))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return QueryVectors(vectors=vectors.astype(np.float32), weights=np.full(pieces, 1 / max(pieces, 1), np.float32))


@pytest.mark.parametrize("sizes", [[3, 0, 5, 1], [1], [0], [], [64] * 400])
def test_every_piece_takes_its_best_cosine_in_every_memory(sizes: list[int]) -> None:
    tokens, asked = matrices(1, sizes, 16), query(2, 5, 16)
    expected = np.zeros((len(sizes), 5))
    for row, matrix in enumerate(tokens):
        if len(matrix):
            unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
            expected[row] = (unit @ asked.vectors.T).max(0)
    stacked = np.concatenate([np.zeros((0, 16), np.int8), *tokens])
    assert np.allclose(best_matches(asked, stacked, np.array(sizes, np.int64)), expected, atol=1e-5)


def test_a_query_without_pieces_matches_nothing() -> None:
    assert best_matches(query(1, 0, 16), matrices(1, [4], 16)[0], np.array([4])).shape == (1, 0)


def test_a_window_shows_the_best_of_its_turns() -> None:
    best = np.array([[0.1, 0.9], [0.5, 0.2], [0.3, 0.3]], np.float32)
    rows = np.array([[-1, 0, 1], [0, 1, 2], [1, 2, -1]])
    assert around(best, rows).max(1).tolist() == np.array([[0.5, 0.9], [0.5, 0.9], [0.5, 0.3]], np.float32).tolist()


def test_a_word_shares_its_rarity_among_its_pieces_and_stop_words_have_none() -> None:
    text = "What is a boathouse worth"
    spans = np.array([(0, 4), (5, 7), (8, 9), (10, 14), (14, 19), (20, 25)], np.int32)
    parsed = parse_query(text, NOW)
    boathouse, worth = parsed.terms
    found = query_vectors(parsed, Vectors(matrices(3, [6], 8)[0], spans), {boathouse: 3.0, worth: 1.0})
    assert found.vectors.shape == (3, 8)
    assert np.allclose(found.weights, [0.375, 0.375, 0.25])
    assert np.allclose(np.linalg.norm(found.vectors, axis=1), 1)


def test_pieces_count_alike_when_no_rarity_is_known() -> None:
    spans = np.array([(0, 4), (5, 10)], np.int32)
    found = query_vectors(parse_query("boat house", NOW), Vectors(matrices(3, [2], 8)[0], spans), {})
    assert found.weights.tolist() == [0.5, 0.5]


def test_a_query_of_stop_words_alone_has_no_vectors() -> None:
    spans = np.array([(0, 3), (4, 7)], np.int32)
    found = query_vectors(parse_query("who was", NOW), Vectors(matrices(3, [2], 8)[0], spans), {})
    assert found.vectors.shape == (0, 8)
