"""Sealing metadata that is stored already, once its organization has said that it is sensitive, or is no more."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import ARRAY, Boolean, Text, cast, literal, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import ColumnElement

from agentmem.errors import Conflict
from agentmem.features.memories.repository import RECORD_COLUMNS, to_record, unlock
from agentmem.features.memories.sensitive import metadata_columns
from agentmem.features.memories.tables import memories
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.holding import hold_subjects
from agentmem.foundation.database.sensitive import sensitive_keys
from agentmem.foundation.database.transaction import Transaction
from agentmem.operations import operation

SEALED_AT_ONCE: Final = 500
VersionKey = tuple[UUID, int]


@dataclass(frozen=True, kw_only=True)
class MemorySealing:
    """Seals the metadata of the caller's memories as its organization says now."""

    database: Database

    @operation(Permission.MEMORY_MAINTAIN)
    async def seal_metadata(self, tx: Transaction, after: VersionKey | None) -> tuple[VersionKey | None, int]:
        """Write the next versions anew whose metadata is not sealed as it should be.

        Gives where to go on, nowhere at the end, and how many versions were written. What is about somebody who is
        being erased stays as it is.
        """
        keys = await sensitive_keys(tx)
        identity = tuple_(memories.c.memory_id, memories.c.version)
        page = select(*RECORD_COLUMNS).where(tx.own(memories), _is_otherwise(sorted(keys)))
        if after is not None:
            page = page.where(identity > after)
        page = page.order_by(memories.c.memory_id, memories.c.version).limit(SEALED_AT_ONCE)
        rows = await unlock(tx, await tx.execute(page))
        for user_id in {row.user_id for row in rows}:
            with suppress(Conflict):
                await hold_subjects(tx, [user_id])
        for row in rows:
            if tx.ring.holds(row.user_id):
                this = (memories.c.memory_id == row.memory_id, memories.c.version == row.version)
                anew = metadata_columns(tx, to_record(tx, row), keys)
                await tx.execute(update(memories).where(tx.own(memories), *this).values(anew))
        last = rows[-1] if len(rows) == SEALED_AT_ONCE else None
        return None if last is None else (last.memory_id, last.version), len(rows)


def _is_otherwise(keys: Sequence[str]) -> ColumnElement[bool]:
    """Build the condition that a value is in clear that should be sealed, or the other way round."""
    listed = literal(list(keys), ARRAY(Text))
    in_clear = memories.c.metadata.op("?|", return_type=Boolean())(listed)
    sealed_still = memories.c.blind_index.op("-", return_type=JSONB())(listed) != cast(literal("{}", Text()), JSONB)
    return or_(in_clear, sealed_still)
