"""The one operation behind every search: gather, rank, read, within one transaction of the caller's organization."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agentmem.errors import Conflict
from agentmem.features.memories.binding import bound_view
from agentmem.features.memories.index_reading import (
    MATCHING_LIMIT,
    NEAREST_LIMIT,
    Candidates,
    Nearest,
    Statistics,
    Wanted,
    read_candidates,
    read_model,
    read_nearest,
    read_overview,
    read_records,
    read_visible_places,
)
from agentmem.features.memories.index_writing import POSTING
from agentmem.features.memories.sensitive import blinded
from agentmem.features.memories.visibility import View
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.transaction import Transaction
from agentmem.operations import Transactions, operation
from agentmem.schemas.memories import MemoryRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """What is looked for: ``terms`` by words, ``pooled`` (made by ``model``, normalised) by meaning, or both.

    ``most`` is how many candidates the meaning gives.
    """

    terms: Sequence[str]
    model: str
    pooled: NDArray[np.float32] | None
    most: int = NEAREST_LIMIT


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """What the words of a query find in the whole scope.

    ``postings`` stand in the order of the query's terms, whose keyed hashes are ``hashes``. ``within`` lists the places
    that are seen when only these are ranked.
    """

    statistics: Statistics
    hashes: tuple[int, ...]
    postings: list[NDArray[np.void]]
    within: NDArray[np.int64] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The outcome of a search: places and records, best first.

    ``model`` is the embedding model in force; when the query was embedded by another one nothing has been looked for.
    """

    model: str
    best: Sequence[tuple[int, MemoryRecord]] = ()


class Ranking(Protocol):
    """The pure part of a search: it chooses what to look at, then puts it in order. Its methods are called in turn."""

    def weigh(self, words: Words) -> None:
        """Score the words."""
        ...

    def shortlist(self, nearest: Nearest | None, *, sifted: bool) -> NDArray[np.int64]:
        """Choose the places to read: candidates and the neighbours they are judged with.

        ``sifted`` says that many of them may still fail the filters.
        """
        ...

    def is_starved(self, candidates: Candidates) -> bool:
        """Whether most of the chosen places turned out not to be seen."""
        ...

    def order(self, candidates: Candidates) -> Sequence[int]:
        """Give the places of the best candidates, best first."""
        ...


@dataclass(frozen=True, kw_only=True)
class MemorySearch:
    """Searches the memories of the caller's organization, on a replica where there is one."""

    database: Transactions

    @operation(Permission.MEMORY_READ, read_only=True)
    async def search(self, tx: Transaction, view: View, query: Query, ranking: Ranking) -> Found:
        """Find memories by words, by meaning, or both.

        Raises :class:`Conflict` when the store changes its embedding model during the search, and the vectors are gone.
        """
        view = await blinded(tx, bound_view(tx.caller, view))
        hashes = tuple(tx.keys.index.term_hashes(query.terms))
        statistics, found = await read_overview(tx, view.scope, hashes)
        if query.pooled is not None and query.model != statistics.model:
            return Found(model=statistics.model)
        within = None if view.is_plain else await read_visible_places(tx, view, MATCHING_LIMIT)
        nothing = np.zeros(0, POSTING)
        postings = [found.get(hashed, nothing) for hashed in hashes]
        words = Words(statistics=statistics, hashes=hashes, postings=postings, within=within)
        best = await _rank(tx, view, words, query, ranking)
        if best is None:
            words = replace(words, within=await read_visible_places(tx, view, None))
            best = await _rank(tx, view, words, query, ranking)
        records = await read_records(tx, view, best) if best else {}
        seen = [(place, records[place]) for place in best or () if place in records]
        return Found(model=statistics.model, best=seen)


async def _rank(tx: Transaction, view: View, words: Words, query: Query, ranking: Ranking) -> Sequence[int] | None:
    """Give the best places in order; nothing when most candidates are deleted, expired or filtered away.

    Then the caller ranks once more ``within`` all places that are seen.
    """
    statistics, nearest = words.statistics, None
    if query.pooled is None:
        ranking.weigh(words)
    else:
        wanted = Wanted(vector=query.pooled, most=query.most, within=words.within)
        comparing = asyncio.create_task(read_nearest(tx, view, statistics, wanted))
        try:
            await asyncio.sleep(0)  # the statement is sent: the server compares vectors while the words are scored here
            ranking.weigh(words)
        finally:
            nearest = await comparing
        if not len(nearest.places) and await read_model(tx) != statistics.model:
            raise Conflict("The store has put another embedding model in force during the search.", hint="Retry.")
    places = ranking.shortlist(nearest, sifted=words.within is None and not view.is_plain)
    if not len(places):
        return ()
    candidates = await read_candidates(tx, view, statistics.model, places)
    if words.within is None and ranking.is_starved(candidates):
        return None
    return ranking.order(candidates)
