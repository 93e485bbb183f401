"""All SQL that a search reads: statistics, postings, nearest vectors, and the rows of candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import pairwise
from operator import attrgetter, itemgetter
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    BigInteger,
    CompoundSelect,
    LargeBinary,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    func,
    literal,
    literal_column,
    null,
    select,
    true,
    type_coerce,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql import ColumnElement
from sqlalchemy.types import Float

from agentmem.features.memories.index_writing import POSTING, vector_text
from agentmem.features.memories.repository import RECORD_COLUMNS, to_record, unlock
from agentmem.features.memories.tables import (
    HalfVector,
    index_entries,
    index_settings,
    memories,
    postings,
    scope_statistics,
    vectors,
)
from agentmem.features.memories.visibility import SHAPES, Shape, View, visible
from agentmem.foundation.database.bulk import array_text
from agentmem.foundation.database.transaction import TenantFilter, Transaction
from agentmem.schemas.filters import Filter
from agentmem.schemas.memories import MemoryRecord, Scope

EXACT_SCOPE = 5_000
"""Scopes of up to so many memories are compared one by one."""

UNMEASURED_WIDTH: Final = 320
PLACE = np.dtype(">i8")
NEAREST_LIMIT = 64
"""How many candidates each arm gives, unless more results are asked for; 100 find nothing more."""
MATCHING_LIMIT = 20_000
"""Up to so many memories that pass a filter are ranked one by one; more are asked of the indexes with the filter."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistics:
    """What BM25 and the choice of a scan need to know about the searched scope."""

    model: str
    documents: int
    average_length: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidates:
    """What the ranking needs of memories and their neighbours, a row each in the order of places.

    ``entries`` are opened; ``embedded`` says whose vectors the model in force made; ``days`` are proleptic ordinals.
    """

    places: NDArray[np.int64]
    days: NDArray[np.int64]
    lengths: NDArray[np.int64]
    speakers: Sequence[Sequence[int]]
    embedded: Sequence[bool]
    entries: Sequence[bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Nearest:
    """The vectors nearest to a query's: sorted places and their cosine similarities."""

    places: NDArray[np.int64]
    similarities: NDArray[np.float32]

    def at(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give each place's similarity, in any shape; one that was not found is as near as the farthest that was."""
        if not len(self.places):
            return np.zeros(places.shape, np.float32)
        rows = np.minimum(np.searchsorted(self.places, places), len(self.places) - 1)
        found: NDArray[np.float32] = np.where(
            self.places[rows] == places, self.similarities[rows], self.similarities.min()
        )
        return found


async def read_overview(
    tx: Transaction, scope: Scope, terms: Sequence[int]
) -> tuple[Statistics, dict[int, NDArray[np.void]]]:
    """Read the model in force, the counts of the scope's user or of all users, and all postings of the terms.

    The postings come per term and in no order. It is one statement, because every search begins with it; it also sets
    the width with which the transaction searches the graph.
    """
    statement = _overview(tx.tenant_filter, scope.user_id is None)
    rows = await tx.run(statement, {"terms": array_text(terms), "user": scope.user_id})
    found = {row.term: np.frombuffer(row.packed, dtype=POSTING) for row in rows if row.term is not None}
    (counts,) = (row for row in rows if row.term is None)
    documents = int(counts.documents)
    statistics = Statistics(
        model=counts.model,
        documents=documents,
        average_length=float(counts.length) / documents if documents else 0.0,
    )
    return statistics, found


@lru_cache(SHAPES)
def _overview(own: TenantFilter, all_users: bool) -> CompoundSelect[Any]:  # noqa: FBT001 - decides the SQL
    settings = select(index_settings).where(own(index_settings)).subquery()
    measured = select(settings.c.graph_width).scalar_subquery()
    counts = select(
        cast(null(), BigInteger).label("term"),
        cast(null(), LargeBinary).label("packed"),
        select(settings.c.embedding_model).scalar_subquery().label("model"),
        graph_width_set(func.coalesce(measured, UNMEASURED_WIDTH)).label("graph_width"),
        cast(func.coalesce(func.sum(scope_statistics.c.documents), 0), BigInteger).label("documents"),
        cast(func.coalesce(func.sum(scope_statistics.c.length), 0), BigInteger).label("length"),
    ).where(own(scope_statistics), _of_user(scope_statistics.c.user_id, all_users=all_users))
    wanted = postings.c.term == func.any(bindparam("terms", type_=ARRAY(BigInteger)))
    packed = (
        select(
            postings.c.term,
            func.string_agg(postings.c.packed, literal(b"", LargeBinary)),
            cast(null(), Text),
            cast(null(), Text),
            cast(null(), BigInteger),
            cast(null(), BigInteger),
        )
        .where(own(postings), wanted, _of_user(postings.c.user_id, all_users=all_users))
        .group_by(postings.c.term)
    )
    return union_all(counts, packed)


def graph_width_set(width: ColumnElement[int]) -> ColumnElement[str]:
    """Build the call that sets how widely the graph is searched (``ef_search``) until the transaction ends."""
    return func.set_config("hnsw.ef_search", cast(width, Text), true())


def _of_user(column: ColumnElement[str], *, all_users: bool) -> ColumnElement[bool]:
    return true() if all_users else column == bindparam("user", type_=Text())


async def read_model(tx: Transaction) -> str:
    """Read the id of the embedding model in force."""
    statement = select(index_settings.c.embedding_model).where(tx.own(index_settings))
    return str((await tx.execute(statement)).scalar_one())


async def read_visible_places(tx: Transaction, view: View, most: int | None) -> NDArray[np.int64] | None:
    """Read the places of all memories that a view sees, or nothing if there are more than ``most``."""
    seen = select(memories.c.place).where(visible(view.shape(tx)), view.filtered())
    if most is not None:
        seen = seen.limit(most + 1)
    found = seen.subquery()
    sent = type_coerce(func.int8send(found.c.place), LargeBinary)
    packed = select(func.count(), func.string_agg(sent, literal(b"", LargeBinary))).select_from(found)
    number, places = (await tx.execute(packed, view.values(tx))).one()
    if most is not None and number > most:
        return None
    return np.frombuffer(places or b"", dtype=PLACE).astype(np.int64)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """The ``most`` vectors nearest to a normalised one, in the whole scope or ``within`` some places."""

    vector: NDArray[np.float32]
    most: int
    within: NDArray[np.int64] | None


async def read_nearest(tx: Transaction, view: View, statistics: Statistics, wanted: Wanted) -> Nearest:
    """Find the nearest vectors.

    With ``within``, those places are compared, all of them; a small scope is compared as a whole. Else the HNSW graph
    is asked, which scans on until it has found enough in the scope, and the rows that are not in it yet are compared
    one by one. Whatever the graph cannot fill is found by comparing all.
    """
    vector, within = wanted.vector, wanted.within
    arm = Arm(shape=view.shape(tx), dimensions=len(vector), most=wanted.most, plain=view.is_plain)
    values = {"query": vector_text(vector), "model": statistics.model, "user": view.scope.user_id, **view.values(tx)}
    if within is not None:
        return await run_nearest(tx, nearest_within(arm), {**values, "within": array_text(within.tolist())}, arm.most)
    shown = None if view.filters is None else ExactFilter.of(view.filters)
    if statistics.documents > EXACT_SCOPE:
        nearest = await run_nearest(tx, nearest_in_graph(arm, shown), values, arm.most)
        if len(nearest.places) >= min(arm.most, statistics.documents):
            return nearest
    return await run_nearest(tx, nearest_of_all(arm, shown), values, arm.most)


class ExactFilter(NamedTuple):
    """A filter as the key of a remembered statement: to Python 1, 1.0 and True are equal, to a filter they are not."""

    tree: Filter
    text: str

    @classmethod
    def of(cls, tree: Filter) -> ExactFilter:
        """Make the key of a filter."""
        return cls(tree, repr(tree))


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """What decides the SQL of a nearest-neighbour statement, apart from its values and filters."""

    shape: Shape
    dimensions: int
    most: int
    plain: bool

    def alive(self, filters: ExactFilter | None) -> ColumnElement[bool]:
        """Build the condition that a vector's memory is seen."""
        if self.plain:
            condition: ColumnElement[bool] = vectors.c.live
            return condition
        here = and_(memories.c.organization_id == vectors.c.organization_id, memories.c.place == vectors.c.place)
        seen = and_(here, visible(self.shape), View(filters=filters and filters.tree).filtered())
        return select(memories.c.place).where(seen).exists()

    def nearest(self, condition: ColumnElement[bool]) -> Select[tuple[int, float]]:
        """Build the statement that compares the vectors that meet a condition."""
        typed = HalfVector(self.dimensions)
        # In a sub-select, because a plan made for any parameter would read the text again for every row.
        query = select(cast(bindparam("query", type_=Text()), typed)).scalar_subquery()
        distance = cast(vectors.c.embedding, typed).op("<#>", return_type=Float())(query)
        found = (
            select(vectors.c.place, distance.label("distance"))
            .where(
                self.shape.own(vectors),
                vectors.c.model == bindparam("model", type_=Text()),
                _of_user(vectors.c.user_id, all_users="scope_user_id" not in self.shape.scope),
                condition,
            )
            .order_by(distance)
            .limit(literal_column(str(self.most)))
            .subquery()
        )
        return select(found.c.place, found.c.distance)


@lru_cache(SHAPES)
def nearest_within(arm: Arm) -> Select[tuple[int, float]]:
    """Compare chosen places."""
    return arm.nearest(vectors.c.place == func.any(bindparam("within", type_=ARRAY(BigInteger))))


@lru_cache(SHAPES)
def nearest_of_all(arm: Arm, filters: ExactFilter | None) -> Select[tuple[int, float]]:
    """Compare the whole scope."""
    return arm.nearest(arm.alive(filters))


@lru_cache(SHAPES)
def nearest_in_graph(arm: Arm, filters: ExactFilter | None) -> CompoundSelect[tuple[int, float]]:
    """Ask the graph, and compare what is not in it yet."""
    # A literal, because PostgreSQL matches a partial index only by a constant.
    in_graph = and_(arm.alive(filters), vectors.c.graph == literal_column(str(arm.dimensions)))
    outside = and_(arm.alive(filters), vectors.c.graph.is_(None))
    return union_all(arm.nearest(in_graph), arm.nearest(outside))


async def run_nearest(
    tx: Transaction,
    statement: Select[tuple[int, float]] | CompoundSelect[tuple[int, float]],
    values: dict[str, object],
    most: int,
) -> Nearest:
    """Run a nearest-neighbour statement, of whose rows the ``most`` nearest count."""
    found = await tx.run(statement, values)
    if len(found) > most:
        found = sorted(found, key=itemgetter(1, 0))[:most]
    found.sort()
    return Nearest(
        places=np.array([place for place, _ in found], np.int64),
        similarities=np.array([-distance for _, distance in found], np.float32),
    )


async def read_candidates(tx: Transaction, view: View, model: str, places: NDArray[np.int64]) -> Candidates:
    """Read what the ranking needs of these places, in order of place; what the view does not see is left out.

    A memory that the model has not seen yet comes with the entry of another one: its words count, its vectors do not.
    """
    statement = _candidates(view.shape(tx))
    values = {**view.values(tx), "model": model}
    if view.filters is None:
        rows = await tx.run(statement, {**values, "places": array_text(places.tolist())})
    else:  # filters make a statement that nobody will ask again
        rows = list(await tx.execute(statement.where(view.filtered()), {**values, "places": places.tolist()}))
    rows = _one_each(rows)
    await tx.ring.unlock(row.entry for row in rows)
    opener = tx.ring.opener("index_entries", "entry")
    found, ids, versions, lengths, speakers, entries, embedded, days = zip(*rows, strict=True) if rows else ((),) * 8
    return Candidates(
        places=np.array(found, np.int64),
        days=np.array(days, np.int64),
        lengths=np.array(lengths, np.int64),
        speakers=speakers,
        embedded=embedded,
        entries=list(map(opener, ids, versions, entries)),
    )


def _one_each(rows: list[Any]) -> list[Any]:
    """Put rows in the order of their places, with one for each: that of the model in force, where there are several.

    Here and not in SQL, which would carry all entries through a sort: half of the statement's time.
    """
    rows.sort(key=attrgetter("place", "embedded"))
    return [row for row, following in pairwise((*rows, None)) if following is None or row.place != following.place]


@lru_cache(SHAPES)
def _candidates(shape: Shape) -> Select[Any]:
    columns = ("place", "memory_id", "version", "length", "speakers", "entry")
    same = and_(
        memories.c.organization_id == index_entries.c.organization_id, memories.c.place == index_entries.c.place
    )
    embedded = (index_entries.c.model == bindparam("model", type_=Text())).label("embedded")
    # Days since the first of January of the year 1, as Python counts them: quicker to read than a moment.
    day = func.date_part("epoch", memories.c.occurred_at) / literal_column("86400")
    ordinal = cast(func.floor(day), BigInteger) + literal_column(str(date(1970, 1, 1).toordinal()))
    return (
        select(*(index_entries.c[name] for name in columns), embedded, ordinal)
        .join(memories, same)
        .where(
            shape.own(index_entries),
            index_entries.c.place == func.any(bindparam("places", type_=ARRAY(BigInteger))),
            visible(shape),
        )
    )


async def read_records(tx: Transaction, view: View, places: Sequence[int]) -> dict[int, MemoryRecord]:
    """Read the memories at these places that the view sees; filters have been applied to the places before."""
    rows = await tx.run(_records(view.shape(tx)), {**view.values(tx), "places": array_text(places)})
    return {row.place: to_record(tx, row) for row in await unlock(tx, rows)}


@lru_cache(SHAPES)
def _records(shape: Shape) -> Select[Any]:
    wanted = memories.c.place == func.any(bindparam("places", type_=ARRAY(BigInteger)))
    return select(*RECORD_COLUMNS).where(visible(shape), wanted)
