"""The users, agents, runs and apps that memories name, with counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import and_, func, select

from agentmem.features.memories.binding import bound_scope
from agentmem.features.memories.tables import memories
from agentmem.features.memories.visibility import in_scope, scope_values
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.paging import decode_cursor, query_fingerprint
from agentmem.operations import operation
from agentmem.schemas.entities import EntityKind, EntitySeen
from agentmem.schemas.memories import Page, Scope, page_by_id

COLUMNS: Final = {
    EntityKind.USERS: memories.c.user_id,
    EntityKind.AGENTS: memories.c.agent_id,
    EntityKind.RUNS: memories.c.run_id,
    EntityKind.APPS: memories.c.app_id,
}


@dataclass(frozen=True, kw_only=True)
class Entities:
    """Lists the ids that the live memories of the caller's organization name."""

    database: Database

    @operation(Permission.MEMORY_READ, read_only=True)
    async def page(
        self, tx: Transaction, kind: EntityKind, scope: Scope, cursor: str | None, limit: int
    ) -> Page[EntitySeen]:
        """Read a page of ids in their order, among the memories of a scope; raises :class:`InvalidCursor`."""
        scope = bound_scope(tx.caller, scope)
        column, values = COLUMNS[kind], scope_values(scope)
        fingerprint = query_fingerprint(f"{kind.value} {scope!r}")
        statement = select(
            column.label("id"),
            func.count().label("memories"),
            func.min(memories.c.created_at).label("first_seen"),
            func.max(memories.c.created_at).label("last_seen"),
        ).where(
            tx.own(memories),
            in_scope(tuple(values)),
            and_(memories.c.known_until.is_(None), memories.c.deleted_at.is_(None)),
            column.is_not(None),
        )
        # By code point, so that the order is the same under every locale of a database.
        ordered = column.collate("C")
        if cursor is not None:
            (after,) = decode_cursor(cursor, fingerprint, 1)
            statement = statement.where(ordered > str(after))
        rows = await tx.execute(statement.group_by(column).order_by(ordered).limit(limit + 1), values)
        found = [EntitySeen.model_validate(row._mapping) for row in rows]
        return page_by_id(found, limit, fingerprint)
