"""Finding memories that say almost the same, by their vectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import LargeBinary, and_, func, select, type_coerce

from agentmem.errors import InvalidInput
from agentmem.features.memories.binding import bound_scope
from agentmem.features.memories.repository import RECORD_COLUMNS, to_record
from agentmem.features.memories.tables import index_settings, memories, vectors
from agentmem.features.memories.visibility import View, visible
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.operations import operation
from agentmem.schemas.memories import NearDuplicate, Scope

MOST_MEMORIES: Final = 50_000
MOST_PAIRS: Final = 1000
_HEADER: Final = 4
"""Bytes before the numbers in pgvector's binary form: dimensions and a reserved field, 16 bits each."""

_ROWS: Final = 2048


@dataclass(frozen=True, kw_only=True)
class NearDuplicates:
    """Compares the memories of a scope with each other."""

    database: Database

    @operation(Permission.MEMORY_READ, read_only=True)
    async def find(self, tx: Transaction, scope: Scope, threshold: float) -> list[NearDuplicate]:
        """Give up to ``MOST_PAIRS`` pairs with a cosine of at least ``threshold`` (0 to 1), the most alike first."""
        scope = bound_scope(tx.caller, scope)
        places, matrix = await _read_vectors(tx, scope)
        pairs = sorted(_alike(matrix, threshold), reverse=True)[:MOST_PAIRS]
        wanted = {int(places[row]) for _, first, second in pairs for row in (first, second)}
        view = View(scope=scope)
        statement = select(*RECORD_COLUMNS).where(visible(view.shape(tx)), memories.c.place.in_(wanted))
        records = {row.place: to_record(tx, row) for row in await tx.execute(statement, view.values(tx))}
        return [
            NearDuplicate(first=records[int(places[first])], second=records[int(places[second])], similarity=similarity)
            for similarity, first, second in pairs
        ]


async def _read_vectors(tx: Transaction, scope: Scope) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    model = select(index_settings.c.embedding_model).where(tx.own(index_settings)).scalar_subquery()
    sent = type_coerce(func.halfvec_send(vectors.c.embedding), LargeBinary)
    view = View(scope=scope)
    statement = (
        select(vectors.c.place, sent)
        .join(
            memories,
            and_(memories.c.organization_id == vectors.c.organization_id, memories.c.place == vectors.c.place),
        )
        .where(tx.own(vectors), visible(view.shape(tx)), vectors.c.model == model)
        .order_by(vectors.c.place)
        .limit(MOST_MEMORIES + 1)
    )
    rows = (await tx.execute(statement, view.values(tx))).all()
    if len(rows) > MOST_MEMORIES:
        raise InvalidInput(f"The scope holds more than {MOST_MEMORIES} memories.", hint="Name a narrower scope.")
    places = np.array([place for place, _ in rows], np.int64)
    if not rows:
        return places, np.zeros((0, 0), np.float32)
    matrix = np.stack([np.frombuffer(packed, ">f2", offset=_HEADER) for _, packed in rows]).astype(np.float32)
    return places, matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-9)


def _alike(matrix: NDArray[np.float32], threshold: float) -> Iterator[tuple[float, int, int]]:
    """Compare all rows with all later ones, a block at a time."""
    for start in range(0, len(matrix), _ROWS):
        block = matrix[start : start + _ROWS] @ matrix[start:].T
        rows, columns = np.nonzero(np.triu(block >= threshold, 1))
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            yield min(1.0, float(block[row, column])), start + row, start + column
