"""Comparing postings with what they should be, without holding either: a count and a checksum for each place."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

_MIXERS: Final = (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53, 0x9E3779B97F4A7C15)


def salt(user_id: str) -> int:
    """Give the number by which postings of one user differ from those of another."""
    return int.from_bytes(hashlib.blake2b(user_id.encode(), digest_size=8).digest())


def checksums(
    terms: NDArray[np.int64], salts: NDArray[np.uint64], frequencies: NDArray[np.uint64], lengths: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """Mix each posting into 64 bits; sums of them do not depend on the order, and change with any part of any."""
    first, second, third = (np.uint64(mixer) for mixer in _MIXERS)
    mixed = terms.view(np.uint64) ^ salts
    mixed = (mixed ^ (mixed >> np.uint64(33))) * first
    mixed = (mixed + frequencies) * second
    mixed = (mixed ^ (mixed >> np.uint64(29))) + lengths
    mixed *= third
    return mixed ^ (mixed >> np.uint64(32))


class PlaceSums:
    """What the postings of a set of places should add up to, and what was found of them."""

    def __init__(self) -> None:
        self._places: list[int] = []
        self._counts: list[int] = []
        self._sums: list[int] = []

    def __len__(self) -> int:
        return len(self._places)

    def expect(self, place: int, user_id: str, terms: Sequence[int], frequencies: Sequence[int], length: int) -> None:
        """Add a place: the keyed hashes of its terms, how often each occurs, and the length in every posting."""
        number = len(terms)
        mixed = checksums(
            np.array(terms, np.int64),
            np.full(number, salt(user_id), np.uint64),
            np.array(frequencies, np.uint64),
            np.full(number, length, np.uint64),
        )
        self._places.append(place)
        self._counts.append(len(terms))
        self._sums.append(int(mixed.sum(dtype=np.uint64)))

    def matching(self) -> Matching:
        """Give the same as arrays, ready to be compared."""
        order = np.argsort(np.array(self._places, np.int64))
        return Matching(
            np.array(self._places, np.int64)[order],
            np.array(self._counts, np.int64)[order],
            np.array(self._sums, np.uint64)[order],
        )


class Matching:
    """A comparison of postings with what they should add up to."""

    def __init__(self, places: NDArray[np.int64], counts: NDArray[np.int64], sums: NDArray[np.uint64]) -> None:
        self._places, self._counts, self._sums = places, counts, sums
        self._found_counts = np.zeros_like(counts)
        self._found_sums = np.zeros_like(sums)

    def meet(self, rows: Sequence[tuple[int, str, NDArray[np.void]]]) -> NDArray[np.int64]:
        """Count the postings of rows (term, user, block), and give those of their places that are not expected here."""
        sizes = [len(block) for _, _, block in rows]
        blocks = np.concatenate([block for _, _, block in rows])
        salts = {user_id: salt(user_id) for _, user_id, _ in rows}
        mixed = checksums(
            np.repeat(np.array([term for term, _, _ in rows], np.int64), sizes),
            np.repeat(np.array([salts[user_id] for _, user_id, _ in rows], np.uint64), sizes),
            blocks["tf"].astype(np.uint64),
            blocks["length"].astype(np.uint64),
        )
        places: NDArray[np.int64] = blocks["place"].astype(np.int64)
        if not len(self._places):
            return places
        slots = np.minimum(np.searchsorted(self._places, places), len(self._places) - 1)
        known = self._places[slots] == places
        np.add.at(self._found_counts, slots[known], 1)
        np.add.at(self._found_sums, slots[known], mixed[known])
        beyond: NDArray[np.int64] = places[~known]
        return beyond

    def wrong(self) -> list[tuple[int, int, int]]:
        """Give each place whose postings differ, with how many it should have and how many were found."""
        differs = (self._counts != self._found_counts) | (self._sums != self._found_sums)
        columns = (self._places, self._counts, self._found_counts)
        return list(zip(*(column[differs].tolist() for column in columns), strict=True))
