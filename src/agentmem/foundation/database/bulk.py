"""Writing many rows of several tables in one statement: a column of values is one array parameter.

One round trip for any number of rows, and the same statement text for all of them, so that it is planned once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import ARRAY, Select, Table, Text, Uuid, bindparam, cast, func, literal_column, select
from sqlalchemy.dialects.postgresql import JSONB, Insert, insert
from sqlalchemy.types import TypeEngine, UserDefinedType

from agentmem.foundation.database.transaction import OWN_ORGANIZATION, Transaction

Row = Mapping[str, object]
STATEMENTS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """Rows to write: the statement that takes them as arrays, and the arrays by parameter."""

    statement: Insert
    values: dict[str, object]


def insert_arrays(table: Table) -> Insert:
    """Build the statement that writes rows of a tenant table from one array for each column.

    ``organization_id`` is the transaction's. A caller may add what happens on a conflict.
    """
    columns = [column for column in table.c if column.name != "organization_id"]
    # Short names: psycopg parses a statement of over 4,096 characters anew at each call.
    sent = [ARRAY(_sent_as(column.type)) for column in columns]
    given = [bindparam(_parameter(table, number), type_=kind) for number, kind in enumerate(sent)]
    names = [f"c{number}" for number in range(len(columns))]
    rows = func.unnest(*given).table_valued(*names).render_derived(name="r")
    values = [
        rows.c[name] if _encoder(column.type) is None else cast(rows.c[name], column.type)
        for name, column in zip(names, columns, strict=True)
    ]
    source = select(bindparam(OWN_ORGANIZATION, type_=Uuid()), *values)
    return insert(table).from_select(["organization_id", *(column.name for column in columns)], source)


def as_arrays(table: Table, rows: Sequence[Row]) -> dict[str, object]:
    """Turn rows into the parameters of :func:`insert_arrays`."""
    arrays: dict[str, object] = {}
    columns = [column for column in table.c if column.name != "organization_id"]
    for number, column in enumerate(columns):
        encode = _encoder(column.type)
        found = [row[column.name] for row in rows]
        arrays[_parameter(table, number)] = found if encode is None else [encode(value) for value in found]
    return arrays


async def write_together(tx: Transaction, parts: Sequence[Rows]) -> None:
    """Write the rows of all parts, in one statement."""
    values: dict[str, object] = {}
    for part in parts:
        values.update(part.values)
    await tx.run(_together(tuple(part.statement for part in parts)), values)


@lru_cache(STATEMENTS)
def _together(statements: tuple[Insert, ...]) -> Select[tuple[int]]:
    parts = [statement.cte(f"written_{number}") for number, statement in enumerate(statements)]
    return select(literal_column("1")).add_cte(*parts)


def _parameter(table: Table, number: int) -> str:
    initials = "".join(word[:2] for word in table.name.split("_"))
    return f"{initials}{number}"


def _sent_as(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    return kind if _encoder(kind) is None else Text()


def _encoder(kind: TypeEngine[object]) -> Callable[[Any], object] | None:  # the column's type decides the value's
    """What a value is written as when an array cannot hold it as it is: text that PostgreSQL reads as the type."""
    if isinstance(kind, JSONB):
        return json.dumps
    if isinstance(kind, ARRAY):
        return array_text
    return str if isinstance(kind, UserDefinedType) else None


def array_text(numbers: Sequence[int]) -> str:
    """Write numbers as PostgreSQL reads an array: quicker than psycopg, which adapts each by itself."""
    return "{" + ",".join(map(str, numbers)) + "}"
