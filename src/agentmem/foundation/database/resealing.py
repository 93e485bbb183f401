"""What is sealed under which key, and sealing it anew: over every column that says of itself that it is sealed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Column, Row, Select, Table, bindparam, case, func, literal, null, select, tuple_, update
from sqlalchemy.sql import ColumnElement

from agentmem.errors import Conflict
from agentmem.foundation.database.holding import hold_subjects
from agentmem.foundation.database.tables import SEALED, Sealed, metadata
from agentmem.foundation.database.transaction import OWN_ORGANIZATION, Transaction

Key = tuple[object, ...]
_KEY_ID: Final = (3, 16)
"""Where a sealed blob names its key, as SQL counts."""


def sealed_tables() -> Mapping[str, Table]:
    """Give the tables that hold sealed columns, by name."""
    return {table.name: table for table in metadata.sorted_tables if sealed_columns(table)}


def sealed_columns(table: Table) -> Mapping[Column[bytes], Sealed]:
    """Give the sealed columns of a table, with what they are bound to."""
    return {column: column.info[SEALED] for column in table.c if SEALED in column.info}


async def values_by_key(tx: Transaction, table: Table) -> Counter[UUID]:
    """Count the sealed values of a table by the key that seals them."""
    found: Counter[UUID] = Counter()
    for column in sealed_columns(table):
        key_id = func.substring(column, *_KEY_ID)
        counted = select(key_id, func.count()).where(tx.own(table), column.is_not(None)).group_by(key_id)
        for value, number in await tx.execute(counted):
            found[UUID(bytes=value)] += number
    return found


async def reseal_page(
    tx: Transaction, table: Table, retired: Sequence[UUID], after: Key | None, limit: int
) -> tuple[Key | None, int]:
    """Seal anew what retired keys have sealed in the next rows of a table, by the keys that it is due to.

    Gives where to go on (nowhere at the end), and how many values were sealed anew. What is about somebody who is
    being erased stays as it is.
    """
    rows = (await tx.execute(_page(tx, table, retired, after, limit))).all()
    columns = sealed_columns(table)
    stale = [row for row in rows if any(row._mapping[column.name] is not None for column in columns)]
    for column, bound in columns.items():
        await _reseal(tx, table, column, bound, [row for row in stale if row._mapping[column.name] is not None])
    names = [column.name for column in _identity(table)]
    last = tuple(rows[-1]._mapping[name] for name in names) if len(rows) == limit else None
    return last, len(stale)


def _identity(table: Table) -> list[Column[Any]]:  # a key's types are its table's
    return [column for column in table.primary_key if column.name != "organization_id"]


def _page(tx: Transaction, table: Table, retired: Sequence[UUID], after: Key | None, limit: int) -> Select[Any]:
    identity = _identity(table)
    bound = [name for each in sealed_columns(table).values() for name in (each.row_id, each.version, each.user_id)]
    named = [name for name in dict.fromkeys(bound) if isinstance(name, str)]
    also = [table.c[name] for name in named if table.c[name] not in set(identity)]
    ids = [key_id.bytes for key_id in retired]
    # A value that is to stay is not even read.
    values = [
        case((func.substring(column, *_KEY_ID).in_(ids), column), else_=null()).label(column.name)
        for column in sealed_columns(table)
    ]
    page = select(*identity, *also, *values).where(tx.own(table)).order_by(*identity).limit(limit)
    if after is None:
        return page
    return page.where(tuple_(*identity) > tuple_(*map(_typed, after, identity)))


def _typed(value: object, column: Column[Any]) -> ColumnElement[Any]:
    return literal(value, column.type)


async def _reseal(
    tx: Transaction, table: Table, column: Column[bytes], bound: Sealed, rows: Sequence[Row[Any]]
) -> None:
    users = [None if bound.user_id is None else row._mapping[bound.user_id] or None for row in rows]
    for user_id in set(users):
        with suppress(Conflict):
            await hold_subjects(tx, [user_id])
    await tx.ring.unlock(row._mapping[column.name] for row in rows)
    opener = tx.ring.opener(table.name, column.name)
    identity = _identity(table)
    changes = []
    for row, user_id in zip(rows, users, strict=True):
        if not tx.ring.holds(user_id):
            continue
        values = row._mapping
        row_id = values[bound.row_id] if bound.as_id is None else bound.as_id(values[bound.row_id])
        version = bound.version if isinstance(bound.version, int) else values[bound.version]
        sealed = values[column.name]
        anew = tx.ring.sealer(table.name, column.name, user_id)(row_id, version, opener(row_id, version, sealed))
        own = {f"key_{each.name}": values[each.name] for each in identity}
        changes.append({OWN_ORGANIZATION: tx.organization_id, "before": sealed, "anew": anew, **own})
    if changes:
        here = [each == bindparam(f"key_{each.name}", type_=each.type) for each in identity]
        # Whoever changed it meanwhile has sealed it anew.
        same = column == bindparam("before", type_=column.type)
        statement = update(table).where(tx.own(table), *here, same)
        await tx.execute(statement.values({column.name: bindparam("anew", type_=column.type)}), changes)
