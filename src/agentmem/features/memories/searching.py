"""The one operation behind every search: gather, rank, read, within one snapshot of the caller's organization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agentmem.errors import Conflict
from agentmem.features.memories.binding import bound_scope, bound_view
from agentmem.features.memories.index_reading import (
    MATCHING_LIMIT,
    Candidates,
    Statistics,
    read_candidates,
    read_model,
    read_nearest,
    read_overview,
    read_records,
    read_visible_places,
)
from agentmem.features.memories.index_writing import POSTING
from agentmem.features.memories.visibility import View
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.operations import operation
from agentmem.schemas.memories import MemoryRecord, Scope


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """What the words of a query find in the whole scope.

    ``postings`` stand in the order of the query's terms, whose keyed hashes are ``hashes``.
    """

    statistics: Statistics
    hashes: tuple[int, ...]
    postings: list[NDArray[np.void]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """What the arms of a search found in the whole scope.

    ``within`` lists the places that pass the filters when these are few; ``sifted`` says that candidates may still fail
    the filters.
    """

    words: Words
    nearest: NDArray[np.int64]
    similarities: NDArray[np.float32]
    within: NDArray[np.int64] | None
    sifted: bool


class Ranking(Protocol):
    """The pure part of a search: it chooses what to look at, then puts it in order."""

    def shortlist(self, gathered: Gathered) -> NDArray[np.int64]:
        """Choose the places to read: candidates and the neighbours they are judged with."""
        ...

    def is_starved(self, candidates: Candidates) -> bool:
        """Whether most of the chosen places turned out not to be seen."""
        ...

    def order(self, candidates: Candidates) -> Sequence[int]:
        """Give the places of the best candidates, best first."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One search: what is looked at, for what, and how it is ranked."""

    view: View
    words: Words
    pooled: NDArray[np.float32] | None
    ranking: Ranking


@dataclass(frozen=True, kw_only=True)
class MemorySearch:
    """Searches the memories of the caller's organization, in two steps: what the words find needs no embedding."""

    database: Database

    @operation(Permission.MEMORY_READ, read_only=True)
    async def words(self, tx: Transaction, scope: Scope, terms: Sequence[str]) -> Words:
        """Read all that is known of terms in a scope, and the embedding model that the store uses."""
        hashes = tuple(tx.keys.index.term_hashes(terms))
        statistics, found = await read_overview(tx, bound_scope(tx.caller, scope), hashes)
        nothing = np.zeros(0, POSTING)
        return Words(statistics=statistics, hashes=hashes, postings=[found.get(hashed, nothing) for hashed in hashes])

    @operation(Permission.MEMORY_READ, read_only=True)
    async def search(
        self, tx: Transaction, view: View, words: Words, pooled: NDArray[np.float32] | None, ranking: Ranking
    ) -> list[tuple[int, MemoryRecord]]:
        """Find memories by words, by a pooled vector of the store's model, or both: places and records, best first.

        Raises :class:`Conflict` when the store has changed its model since the first step, and the vectors are gone.
        """
        view = bound_view(tx.caller, view)
        asked = Asked(view=view, words=words, pooled=pooled, ranking=ranking)
        best = await _rank(tx, asked, None if view.is_plain else await read_visible_places(tx, view, MATCHING_LIMIT))
        if best is None:
            best = await _rank(tx, asked, await read_visible_places(tx, view, None))
        records = await read_records(tx, view, best) if best else {}
        return [(place, records[place]) for place in best or () if place in records]


async def _rank(tx: Transaction, asked: Asked, within: NDArray[np.int64] | None) -> Sequence[int] | None:
    """Give the best places in order; nothing when most candidates are deleted, expired or filtered away.

    Then the caller ranks once more ``within`` all places that are seen.
    """
    places, similarities = np.zeros(0, np.int64), np.zeros(0, np.float32)
    statistics = asked.words.statistics
    if asked.pooled is not None:
        places, similarities = await read_nearest(tx, asked.view, statistics, asked.pooled, within)
        if not len(places) and await read_model(tx) != statistics.model:
            raise Conflict("The store has put another embedding model in force during the search.", hint="Retry.")
    gathered = Gathered(
        words=asked.words,
        nearest=places,
        similarities=similarities,
        within=within,
        sifted=within is None and not asked.view.is_plain,
    )
    wanted = asked.ranking.shortlist(gathered)
    if not len(wanted):
        return ()
    candidates = await read_candidates(tx, asked.view, statistics.model, wanted)
    if within is None and asked.ranking.is_starved(candidates):
        return None
    return asked.ranking.order(candidates)
