"""What finding near duplicates reads: the vectors of a scope, and the memories behind those that are alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import LargeBinary, and_, case, func, literal, select, tuple_, type_coerce

from agentmem.errors import IntegrityError, InvalidInput
from agentmem.features.memories.binding import bound_scope
from agentmem.features.memories.repository import RECORD_COLUMNS, to_record, unlock
from agentmem.features.memories.tables import index_settings, memories, vectors
from agentmem.features.memories.visibility import View, visible
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.operations import operation
from agentmem.schemas.memories import NearDuplicate, Scope

MOST_MEMORIES: Final = 50_000
MOST_NUMBERS: Final = 25_000_000
"""Numbers of all vectors that are compared: 50 MB."""

_HEAD: Final = [("id", "V16"), ("version", ">i4"), ("vector", "V4")]
"""What stands before the numbers of a vector: whose it is, and the head of pgvector's binary form."""

VersionKey = tuple[UUID, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScopeVectors:
    """The vectors of a scope's memories, a row each, and the versions that say what they say."""

    versions: NDArray[np.void]
    embeddings: NDArray[np.float16]

    def at(self, row: int) -> VersionKey:
        """Give the memory and the version of a row."""
        found = self.versions[row]
        return UUID(bytes=found["id"].tobytes()), int(found["version"])


@dataclass(frozen=True, kw_only=True, slots=True)
class AlikePair:
    """Two versions of memories whose vectors are alike."""

    first: VersionKey
    second: VersionKey
    similarity: float


@dataclass(frozen=True, kw_only=True)
class NearDuplicates:
    """Reads what is compared; the comparison itself is no operation, because it takes long."""

    database: Database

    @operation(Permission.MEMORY_READ, read_only=True)
    async def vectors(self, tx: Transaction, scope: Scope) -> ScopeVectors:
        """Read the vectors of a scope, in the order of their places."""
        view = View(scope=bound_scope(tx.caller, scope))
        model = select(index_settings.c.embedding_model).where(tx.own(index_settings)).scalar_subquery()
        same = and_(memories.c.organization_id == vectors.c.organization_id, memories.c.place == vectors.c.place)
        parts = (
            func.uuid_send(memories.c.memory_id),
            func.int4send(memories.c.version),
            func.halfvec_send(vectors.c.embedding),
        )
        packed = type_coerce(parts[0].op("||")(parts[1]).op("||")(parts[2]), LargeBinary)
        found = (
            select(func.vector_dims(vectors.c.embedding).label("dimensions"), packed.label("packed"))
            .join(memories, same)
            .where(tx.own(vectors), visible(view.shape(tx)), vectors.c.model == model)
            .order_by(vectors.c.place)
            .limit(MOST_MEMORIES + 1)
            .subquery()
        )
        number, dimensions = func.count(), func.max(found.c.dimensions)
        # One value instead of a row for each: the event loop has no thousands of objects to make.
        together = func.string_agg(found.c.packed, literal(b"", LargeBinary))
        fits = and_(number <= MOST_MEMORIES, number * dimensions <= MOST_NUMBERS)
        read = select(number, func.min(found.c.dimensions), dimensions, case((fits, together)))
        held, least, most, rows = (await tx.execute(read, view.values(tx))).one()
        if held > MOST_MEMORIES or held * (most or 0) > MOST_NUMBERS:
            raise InvalidInput(
                f"The scope holds too many memories to compare them all: more than {MOST_MEMORIES}, or {MOST_NUMBERS} "
                "numbers of their vectors.",
                hint="Name a narrower scope.",
            )
        if least != most:
            raise IntegrityError("Vectors of the scope differ in length.", hint="Let the doctor repair the store.")
        unpacked = np.frombuffer(rows or b"", [*_HEAD, ("embedding", ">f2", (most or 0,))])
        return ScopeVectors(versions=unpacked, embeddings=unpacked["embedding"].astype(np.float16))

    @operation(Permission.MEMORY_READ, read_only=True)
    async def pairs(self, tx: Transaction, scope: Scope, alike: Sequence[AlikePair]) -> list[NearDuplicate]:
        """Read the memories of pairs; a pair of which one was changed or deleted meanwhile is passed over."""
        view = View(scope=bound_scope(tx.caller, scope))
        wanted = {key for pair in alike for key in (pair.first, pair.second)}
        named = tuple_(memories.c.memory_id, memories.c.version).in_(sorted(wanted))
        statement = select(*RECORD_COLUMNS).where(visible(view.shape(tx)), named)
        rows = await tx.execute(statement, view.values(tx))
        records = {(row.memory_id, row.version): to_record(tx, row) for row in await unlock(tx, rows)}
        return [
            NearDuplicate(first=records[pair.first], second=records[pair.second], similarity=pair.similarity)
            for pair in alike
            if pair.first in records and pair.second in records
        ]
