"""The most alike rows of a matrix, found in memory that does not grow with the number of pairs that are alike."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_ROWS: Final = 1024
_TINY: Final = 1e-9


class MostAlike:
    """Compares all rows with each other, block by block, and keeps the best pairs seen so far.

    Once there are ``most``, only a pair that is more alike than the last of them is kept.
    """

    def __init__(self, matrix: NDArray[np.float16], threshold: float, most: int) -> None:
        self._matrix, self._most = matrix, most
        self._bound = np.nextafter(np.float32(threshold), np.float32(-1))
        self._similarities = np.zeros(0, np.float32)
        self._rows = np.zeros((0, 2), np.int64)

    @property
    def steps(self) -> range:
        """The steps that :meth:`compare` is to be called with."""
        return range(0, len(self._matrix), _ROWS)

    def compare(self, step: int) -> None:
        """Compare a block of rows with itself and all later ones."""
        block = self._block(step)
        for other in range(step, len(self._matrix), _ROWS):
            similarities = np.minimum(block @ self._block(other).T, 1)
            if other == step:
                similarities[np.tri(len(block), dtype=np.bool_)] = -1
            self._keep(similarities, step, other)

    def pairs(self) -> list[tuple[float, int, int]]:
        """Give the pairs kept, the most alike first: similarity, first and second row."""
        order = np.lexsort((self._rows[:, 1], self._rows[:, 0], -self._similarities))
        return [(float(self._similarities[n]), int(self._rows[n, 0]), int(self._rows[n, 1])) for n in order]

    def _block(self, start: int) -> NDArray[np.float32]:
        rows = self._matrix[start : start + _ROWS].astype(np.float32)
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _TINY)
        return rows

    def _keep(self, similarities: NDArray[np.float32], row: int, column: int) -> None:
        flat = similarities.ravel()
        found = np.flatnonzero(flat > self._bound)
        found = found[_largest(flat[found], self._most)]
        rows = np.stack(np.divmod(found, similarities.shape[1]), axis=1) + np.array([row, column])
        known, rows = np.concatenate([self._similarities, flat[found]]), np.concatenate([self._rows, rows])
        kept = _largest(known, self._most)
        self._similarities, self._rows = known[kept], rows[kept]
        if len(kept) == self._most:
            self._bound = self._similarities.min()


def _largest(values: NDArray[np.float32], most: int) -> NDArray[np.int64]:
    """Say where the largest values stand, in their order; of equal ones the first."""
    if len(values) <= most:
        return np.arange(len(values))
    least = np.partition(values, -most)[-most]
    above, equal = np.flatnonzero(values > least), np.flatnonzero(values == least)
    return np.sort(np.concatenate([above, equal[: most - len(above)]]))
