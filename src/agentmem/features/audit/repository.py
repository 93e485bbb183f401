"""All SQL about the audit trail and its seals."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Row,
    Select,
    Uuid,
    any_,
    bindparam,
    exists,
    func,
    insert,
    literal,
    select,
    tuple_,
)

from agentmem.features.audit.model import Seal, StoredEntry
from agentmem.features.audit.tables import audit_seals
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.ledger.tables import audit_entries
from agentmem.schemas.audit import AuditQuery

SEALED_TOGETHER: Final = 1000
SETTLED: Final = timedelta(seconds=5)
"""How old an entry is when it is sealed: by then those of transactions that began before it are mostly there."""

LOOK_BACK: Final = timedelta(hours=1)
"""How much later than its neighbours an entry may appear: longer than any transaction lasts."""

_ONE_SEALER: Final = select(func.pg_advisory_xact_lock(bindparam("lock", type_=BigInteger())))
_INT63: Final = 2**63 - 1


def _entry(row: Row[Any]) -> StoredEntry:  # a row's types are its statement's
    return StoredEntry(
        entry_id=row.entry_id,
        at=row.at,
        actor=row.actor,
        action=row.action,
        outcome=row.outcome,
        targets=row.targets,
        detail=row.detail,
    )


async def _entries(tx: Transaction, statement: Select[Any]) -> list[StoredEntry]:
    return [_entry(row) for row in await tx.execute(statement)]


async def search_entries(
    tx: Transaction, query: AuditQuery, after: tuple[datetime, UUID] | None, limit: int
) -> list[StoredEntry]:
    """Read up to ``limit`` entries that a query asks for, oldest first, after a position."""
    entry = audit_entries.c
    given = (
        (query.since, lambda value: entry.at >= value),
        (query.until, lambda value: entry.at < value),
        (query.actor, lambda value: entry.actor == value),
        (query.action, lambda value: entry.action == value),
        (query.outcome, lambda value: entry.outcome == value),
        (query.target, lambda value: literal(value, Uuid()) == any_(entry.targets)),
        (after, lambda value: tuple_(entry.at, entry.entry_id) > value),
    )
    asked: list[ColumnElement[bool]] = [condition(value) for value, condition in given if value is not None]
    statement = select(audit_entries).where(tx.own(audit_entries), *asked)
    return await _entries(tx, statement.order_by(entry.at, entry.entry_id).limit(limit))


async def entries_after(tx: Transaction, after: UUID | None, limit: int) -> list[StoredEntry]:
    """Read up to ``limit`` entries in the order of their ids, which is that of their making."""
    statement = select(audit_entries).where(tx.own(audit_entries))
    if after is not None:
        statement = statement.where(audit_entries.c.entry_id > after)
    return await _entries(tx, statement.order_by(audit_entries.c.entry_id).limit(limit))


async def entries_about(tx: Transaction, targets: Sequence[UUID], after: UUID | None, limit: int) -> list[StoredEntry]:
    """Read up to ``limit`` entries that name one of these ids, in the order of their making."""
    named = audit_entries.c.targets.bool_op("&&")(literal(list(targets), ARRAY(Uuid())))
    statement = select(audit_entries).where(tx.own(audit_entries), named)
    if after is not None:
        statement = statement.where(audit_entries.c.entry_id > after)
    return await _entries(tx, statement.order_by(audit_entries.c.entry_id).limit(limit))


async def entries_by_id(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, StoredEntry]:
    """Read those of these entries that are there."""
    statement = select(audit_entries).where(tx.own(audit_entries), audit_entries.c.entry_id.in_(ids))
    return {entry.entry_id: entry for entry in await _entries(tx, statement)}


async def hold_sealing(tx: Transaction) -> None:
    """Let nobody else seal this organization's entries until the transaction ends."""
    await tx.execute(_ONE_SEALER, {"lock": ~tx.organization_id.int & _INT63})


async def last_seal(tx: Transaction) -> Seal | None:
    """Read the newest seal."""
    found = await _seals(tx, select(audit_seals).order_by(audit_seals.c.seal_no.desc()).limit(1))
    return found[0] if found else None


async def seals_after(tx: Transaction, seal: Seal | None, limit: int) -> list[Seal]:
    """Read up to ``limit`` seals in the order of their numbers, from the first one on or after another."""
    later = select(audit_seals).order_by(audit_seals.c.seal_no).limit(limit)
    return await _seals(tx, later if seal is None else later.where(audit_seals.c.seal_no > seal.seal_no))


async def _seals(tx: Transaction, statement: Select[Any]) -> list[Seal]:
    return [
        Seal(
            seal_no=row.seal_no, sealed_at=row.sealed_at, entries=row.entries, previous=row.previous, digest=row.digest
        )
        for row in await tx.execute(statement.where(tx.own(audit_seals)))
    ]


async def sealed_from(tx: Transaction, last: Seal | None) -> datetime | None:
    """Give the moment before which no entry can appear any more that is not sealed; none before the first seal."""
    if last is None:
        return None
    newest = select(func.max(audit_entries.c.at)).where(
        tx.own(audit_entries), audit_entries.c.entry_id.in_(list(last.entries))
    )
    found: datetime | None = (await tx.execute(newest)).scalar_one()
    return (found or last.sealed_at) - LOOK_BACK


async def entries_to_seal(tx: Transaction, since: datetime | None) -> list[StoredEntry]:
    """Read the next settled entries that are in no seal, oldest first."""
    statement = select(audit_entries).where(
        tx.own(audit_entries), audit_entries.c.at <= tx.now - SETTLED, ~_is_sealed(tx, since)
    )
    if since is not None:
        statement = statement.where(audit_entries.c.at >= since)
    return await _entries(tx, statement.order_by(audit_entries.c.at, audit_entries.c.entry_id).limit(SEALED_TOGETHER))


async def write_seal(tx: Transaction, seal: Seal) -> None:
    """Append a seal."""
    values = {
        "organization_id": tx.organization_id,
        "seal_no": seal.seal_no,
        "sealed_at": seal.sealed_at,
        "entries": list(seal.entries),
        "previous": seal.previous,
        "digest": seal.digest,
    }
    await tx.execute(insert(audit_seals), values)


async def count_unsealed(tx: Transaction) -> int:
    """Count the entries that are in no seal."""
    statement = select(func.count()).select_from(audit_entries)
    return int((await tx.execute(statement.where(tx.own(audit_entries), ~_is_sealed(tx, None)))).scalar_one())


async def unsealed_before(tx: Transaction, moment: datetime, limit: int) -> list[UUID]:
    """Read up to ``limit`` ids of entries that are in no seal though they claim to be older than a moment."""
    statement = select(audit_entries.c.entry_id).where(
        tx.own(audit_entries), audit_entries.c.at < moment, ~_is_sealed(tx, None)
    )
    return list((await tx.execute(statement.order_by(audit_entries.c.entry_id).limit(limit))).scalars())


def _is_sealed(tx: Transaction, since: datetime | None) -> ColumnElement[bool]:
    """Build the condition that an entry is in a seal; an entry of ``since`` or later is in one made after that."""
    sealed = select(func.unnest(audit_seals.c.entries).label("entry_id")).where(tx.own(audit_seals))
    if since is not None:
        sealed = sealed.where(audit_seals.c.sealed_at >= since)
    covered = sealed.subquery()
    return exists().where(covered.c.entry_id == audit_entries.c.entry_id)
