"""A transaction bound to one organization: the only way to the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow
from sqlalchemy import CursorResult, FromClause, Insert, Uuid, bindparam
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import ColumnElement, Executable

from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.database.prepared import prepared
from agentmem.foundation.database.subjects import SubjectRing
from agentmem.foundation.encryption.keyring import OrganizationKeys
from agentmem.kit.ids import OrganizationId

TenantFilter = Callable[[FromClause], ColumnElement[bool]]
OWN_ORGANIZATION = "own_organization_id"


def by_organization(table: FromClause) -> ColumnElement[bool]:
    """Build the condition that keeps a statement inside the organization of the transaction that runs it."""
    condition: ColumnElement[bool] = table.c.organization_id == bindparam(OWN_ORGANIZATION, type_=Uuid())
    return condition


def set_organization(organization_id: OrganizationId) -> str:
    """Write the statement that binds a transaction to an organization; a UUID cannot be anything but a UUID."""
    return f"SELECT set_config('agentmem.organization_id', '{organization_id!s}', true)"


def enter(keys: OrganizationKeys) -> str:
    """Write the statement that binds a transaction that writes; false unless the organization still has these keys."""
    return f"SELECT agentmem.enter('{keys.organization_id!s}', '{keys.keyring.active.key_id!s}')"


@dataclass(frozen=True, kw_only=True, slots=True)
class Statements:
    """What every transaction runs statements with."""

    connection: AsyncConnection
    driver: psycopg.AsyncConnection[TupleRow]
    """The same connection as the driver sees it."""
    now: datetime
    tenant_filter: TenantFilter

    @property
    def bound(self) -> Mapping[str, object]:
        """The values that every statement is given: the organization that it is bound to."""
        raise NotImplementedError

    def own(self, table: FromClause) -> ColumnElement[bool]:
        """Give the condition that every statement on a tenant table carries."""
        return self.tenant_filter(table)

    async def execute(
        self, statement: Executable, values: Mapping[str, object] | Sequence[Mapping[str, object]] | None = None
    ) -> CursorResult[*tuple[Any, ...]]:  # a row's types are its statement's; the mappers check them by use
        """Run one statement inside the transaction."""
        if isinstance(values, Sequence):
            return await self.connection.execute(statement, [dict(row) for row in values])
        if isinstance(statement, Insert):
            return await self.connection.execute(statement, dict(values or {}))
        return await self.connection.execute(statement, {**self.bound, **(values or {})})

    async def run(self, statement: Executable, values: Mapping[str, object]) -> list[Any]:
        """Run a statement that is built once, straight by the driver, and give its rows as named tuples.

        Values are what psycopg adapts by itself; for statements that each call builds anew use :meth:`execute`.
        """
        known = prepared(statement)
        cursor = self.driver.cursor()
        await cursor.execute(known.text, {**known.literals, **self.bound, **values})
        return list(map(known.row, await cursor.fetchall())) if cursor.pgresult and cursor.pgresult.nfields else []


@dataclass(frozen=True, kw_only=True, slots=True)
class Transaction(Statements):
    """What an operation works with: statements, keys, the caller and one moment in time, all of one organization."""

    caller: Caller
    keys: OrganizationKeys
    ring: SubjectRing
    touched: list[UUID] = field(default_factory=list)
    """Ids that the audit entry of this operation will name."""
    noted: dict[str, str] = field(default_factory=dict)
    """What else it will say; never content."""

    @property
    def organization_id(self) -> OrganizationId:
        """The organization that every statement is bound to."""
        return self.caller.organization_id

    @property
    def bound(self) -> Mapping[str, object]:
        """The values that every statement is given."""
        return {OWN_ORGANIZATION: self.caller.organization_id}

    def touch(self, ids: Iterable[UUID]) -> None:
        """Name the things that this operation changed, for its audit entry."""
        self.touched.extend(ids)

    def note(self, name: str, value: str) -> None:
        """Say something more of this operation in its audit entry."""
        self.noted[name] = value
