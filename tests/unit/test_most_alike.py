from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from agentmem.pipelines.consolidation.alike import MostAlike

MIB = 2**20


def most_alike(matrix: NDArray[np.float16], threshold: float, most: int) -> list[tuple[float, int, int]]:
    alike = MostAlike(matrix, threshold, most)
    for step in alike.steps:
        alike.compare(step)
    return alike.pairs()


def by_brute_force(matrix: NDArray[np.float16], threshold: float, most: int) -> list[tuple[float, int, int]]:
    rows = matrix.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    pairs = [
        (float(rows[first] @ rows[second]), first, second)
        for first in range(len(rows))
        for second in range(first + 1, len(rows))
    ]
    return sorted((pair for pair in pairs if pair[0] >= threshold), key=lambda pair: (-pair[0], pair[1:]))[:most]


def random_rows(number: int, seed: int) -> NDArray[np.float16]:
    return np.random.default_rng(seed).standard_normal((number, 8)).astype(np.float16)


@pytest.mark.parametrize("number,threshold,most", [(0, 0.1, 5), (1, 0.1, 5), (40, 0.3, 10_000), (1100, 0.9, 50)])
def test_most_alike_rows_are_those_that_comparing_each_with_each_finds(
    number: int, threshold: float, most: int
) -> None:
    rows = random_rows(number, seed=number)
    found, expected = most_alike(rows, threshold, most), by_brute_force(rows, threshold, most)

    assert [pair[1:] for pair in found] == [pair[1:] for pair in expected]
    assert [pair[0] for pair in found] == pytest.approx([pair[0] for pair in expected], abs=1e-5)


def test_best_pairs_are_kept_wherever_in_the_matrix_they_stand() -> None:
    rows = random_rows(2500, seed=1)
    for first, second in ((3, 7), (20, 2400), (1500, 2499)):
        rows[second] = rows[first]

    assert sorted(pair[1:] for pair in most_alike(rows, 0.5, 3)) == [(3, 7), (20, 2400), (1500, 2499)]


def test_pairs_of_5000_equal_rows_take_no_memory_of_their_number() -> None:
    rows = np.tile(random_rows(1, seed=2), (5000, 1))
    tracemalloc.start()
    found = most_alike(rows, 0.9, 1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(found) == len({pair[1:] for pair in found}) == 1000
    assert all(first < second for _, first, second in found)
    assert [similarity for similarity, _, _ in found] == pytest.approx([1] * 1000, abs=1e-5)
    assert peak < 64 * MIB
