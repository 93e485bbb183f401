"""The HNSW graph of vectors: moving vectors into it, and measuring how widely it must be searched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Integer, Text, and_, bindparam, cast, func, select, update

from agentmem.features.memories.index_reading import (
    NEAREST_LIMIT,
    Arm,
    graph_width_set,
    nearest_in_graph,
    nearest_of_all,
    run_nearest,
)
from agentmem.features.memories.index_writing import vector_text
from agentmem.features.memories.packing import is_any
from agentmem.features.memories.tables import index_settings, vectors
from agentmem.features.memories.visibility import View
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.connect import GRAPH_WIDTH
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.operations import operation

GRAPH_TAIL: Final = 5_000
"""Vectors of a store without a graph from which on it gets one: as many as a search may compare one by one."""
GROWN_TAIL: Final = 500
"""Vectors outside a graph from which on they are moved into it: every search compares them beside it."""
GRAPH_BATCH: Final = 500

WIDTHS: Final = (
    GRAPH_WIDTH,
    72,
    80,
    90,
    100,
    112,
    125,
    140,
    160,
    180,
    200,
    224,
    250,
    280,
    315,
    355,
    400,
    450,
    500,
    560,
    630,
    710,
    800,
    1000,
)
"""The widths (``ef_search``) to choose from, each an eighth more than the last; pgvector takes at most 1,000."""
ENOUGH: Final = 0.99
"""The share of the ten nearest that the graph must find."""
PROBES: Final = 64
NEAREST: Final = 10
_TINY: Final = 1e-9
GROWN: Final = 1.5
"""By which factor the graph must have grown until its width is measured again."""
ROUNDING: Final = 1e-4
"""Similarities this close count as equal: half precision keeps three digits of each of many numbers."""


_SET_WIDTH: Final = select(graph_width_set(bindparam("width", type_=Integer())))


@dataclass(frozen=True, kw_only=True)
class VectorGraph:
    """Keeps the graph of the caller's vectors; every operation does one bounded step and may be repeated."""

    database: Database

    @operation(Permission.MEMORY_MAINTAIN, read_only=True)
    async def has_long_tail(self, tx: Transaction, model: str) -> bool:
        """Say whether so many vectors are outside the graph that they should be moved into it."""
        of_model = and_(tx.own(vectors), vectors.c.model == model)
        begun = select(vectors.c.place).where(of_model, vectors.c.graph.is_not(None)).limit(1)
        limit = GROWN_TAIL if (await tx.execute(begun)).first() is not None else GRAPH_TAIL
        outside = select(vectors.c.place).where(of_model, vectors.c.graph.is_(None)).limit(limit).subquery()
        return int((await tx.execute(select(func.count()).select_from(outside))).scalar_one()) >= limit

    @operation(Permission.MEMORY_MAINTAIN)
    async def grow(self, tx: Transaction, model: str, dimensions: int) -> int:
        """Move up to ``GRAPH_BATCH`` vectors of a model into the graph of their length, and say how many."""
        batch = (
            select(vectors.c.place)
            .where(tx.own(vectors), vectors.c.model == model, vectors.c.graph.is_(None))
            .limit(GRAPH_BATCH)
            # Never waits, so that it cannot stand in a circle of writers that wait for each other.
            .with_for_update(skip_locked=True)
        )
        places = list((await tx.execute(batch)).scalars())
        if places:
            moving = and_(tx.own(vectors), vectors.c.model == model, is_any(vectors.c.place, places))
            await tx.execute(update(vectors).where(moving).values(graph=dimensions))
        return len(places)

    @operation(Permission.MEMORY_MAINTAIN)
    async def fit_width(self, tx: Transaction, model: str, dimensions: int) -> int | None:
        """Measure how widely the graph must be searched, and let searches do so; nothing when that is known.

        Probes are midpoints of random pairs of vectors: like queries, they lie between what is stored, where a graph
        is harder to search than at its own points.
        """
        inside = and_(tx.own(vectors), vectors.c.model == model, vectors.c.graph == dimensions)
        number = int((await tx.execute(select(func.count()).where(inside))).scalar_one())
        own = and_(tx.own(index_settings), index_settings.c.embedding_model == model)
        settings = (await tx.execute(select(index_settings.c.graph_vectors).where(own))).one_or_none()
        if not number or settings is None or number < GROWN * (settings.graph_vectors or 0):
            return None
        chosen = select(cast(vectors.c.embedding, Text)).where(inside).order_by(func.random()).limit(2 * PROBES)
        width = await _least_width(tx, model, _midpoints([str(text) for (text,) in await tx.execute(chosen)]))
        await tx.execute(update(index_settings).where(own).values(graph_width=width, graph_vectors=number))
        return width


async def _least_width(tx: Transaction, model: str, probes: NDArray[np.float32]) -> int:
    view = View()
    arm = Arm(shape=view.shape(tx), dimensions=probes.shape[1], most=NEAREST_LIMIT, plain=True)
    asked = [{"query": vector_text(probe), "model": model, **view.values(tx)} for probe in probes]
    bounds = []
    for values in asked:
        similarities = (await run_nearest(tx, nearest_of_all(arm, None), values, arm.most)).similarities
        bounds.append(float(np.sort(similarities)[-NEAREST:].min()) - ROUNDING)
    for width in WIDTHS[:-1]:
        await tx.run(_SET_WIDTH, {"width": width})
        found = 0
        for values, bound in zip(asked, bounds, strict=True):
            similarities = (await run_nearest(tx, nearest_in_graph(arm, None), values, arm.most)).similarities
            found += min(NEAREST, int((similarities >= bound).sum()))
        if found >= ENOUGH * NEAREST * len(asked):
            return width
    return WIDTHS[-1]


def _midpoints(texts: list[str]) -> NDArray[np.float32]:
    matrix = np.array([np.fromstring(text[1:-1], np.float32, sep=",") for text in texts], np.float32)
    half = max(len(matrix) // 2, 1)
    middle = matrix[:half] + matrix[-half:]
    lengths: NDArray[np.float32] = np.linalg.norm(middle, axis=1, keepdims=True)
    return (middle / np.maximum(lengths, np.float32(_TINY))).astype(np.float32)
