"""A transaction of the system itself: no caller is known yet, or none exists.

It sees the registries whole, and the rows of one organization once it is bound to it. It has no keys: nothing sealed
can be opened in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import psycopg
from psycopg.rows import TupleRow
from sqlalchemy import CursorResult, FromClause
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import ColumnElement, Executable

from agentmem.foundation.database.prepared import prepared
from agentmem.foundation.database.transaction import OWN_ORGANIZATION, TenantFilter
from agentmem.kit.ids import OrganizationId

ACT_AS_SYSTEM = "SELECT set_config('agentmem.system', 'on', true)"


class SystemPurpose(StrEnum):
    """Why there is no caller; the list is closed, and a test holds the operations of each."""

    AUTHENTICATE = "authenticate"
    """A credential is looked up, or taken away from whoever found it."""
    REGISTER = "register"
    """An organization is made."""
    SWEEP = "sweep"
    """Background work looks for the organizations it is to visit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemTransaction:
    """What a system operation works with: statements and one moment in time."""

    connection: AsyncConnection
    driver: psycopg.AsyncConnection[TupleRow]
    """The same connection as the driver sees it."""
    now: datetime
    purpose: SystemPurpose
    tenant_filter: TenantFilter
    _bound: dict[str, OrganizationId] = field(default_factory=dict)

    async def bind(self, organization_id: OrganizationId) -> None:
        """See the rows of this organization from here on, and of no other."""
        self._bound[OWN_ORGANIZATION] = organization_id
        # A UUID cannot be anything but a UUID.
        await self.driver.execute(
            f"SELECT set_config('agentmem.organization_id', '{organization_id!s}', true)".encode()
        )

    def own(self, table: FromClause) -> ColumnElement[bool]:
        """Give the condition that every statement on a tenant table carries."""
        return self.tenant_filter(table)

    async def execute(
        self, statement: Executable, values: Mapping[str, object] | Sequence[Mapping[str, object]] | None = None
    ) -> CursorResult[*tuple[Any, ...]]:  # a row's types are its statement's; the mappers check them by use
        """Run one statement inside the transaction."""
        if isinstance(values, Sequence):
            return await self.connection.execute(statement, [dict(row) for row in values])
        if statement.is_insert:
            return await self.connection.execute(statement, dict(values or {}))
        return await self.connection.execute(statement, {**self._bound, **(values or {})})

    async def run(self, statement: Executable, values: Mapping[str, object]) -> list[Any]:
        """Run a statement that is built once, straight by the driver, and give its rows as named tuples."""
        known = prepared(statement)
        cursor = self.driver.cursor()
        await cursor.execute(known.text, {**known.literals, **self._bound, **values})
        return list(map(known.row, await cursor.fetchall())) if cursor.pgresult and cursor.pgresult.nfields else []
