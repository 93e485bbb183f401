"""What an organization stores, counted as it is written, and the limits that it may not pass.

The counts are kept in shards, like those of the index, so that writers seldom wait for each other; a check of a limit
lets one writer of the organization in at a time, and only organizations with a limit pay for it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ARRAY, BigInteger, bindparam, cast, func, select, true
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.sql import ColumnElement

from agentmem.errors import QuotaExceeded
from agentmem.features.memories.tables import memories, organization_usage
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.bulk import Rows, as_arrays, insert_arrays
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.operations import operation
from agentmem.schemas.usage import StorageUsage

SHARDS: Final = 16
_INT63: Final = 2**63 - 1
_ONE_WRITER: Final = select(func.pg_advisory_xact_lock(func.unnest(bindparam("locks", type_=ARRAY(BigInteger)))))
_COUNTED: Final = ("memories", "versions", "content_bytes")


@dataclass(frozen=True, kw_only=True, slots=True)
class Used:
    """By how much a write changes what is stored: live memories, versions, and bytes of sealed content."""

    memories: int
    versions: int
    content_bytes: int

    def __bool__(self) -> bool:
        return bool(self.memories or self.versions or self.content_bytes)

    def __neg__(self) -> Used:
        return Used(memories=-self.memories, versions=-self.versions, content_bytes=-self.content_bytes)


def _add_usage() -> Insert:
    statement = insert_arrays(organization_usage)
    changed = {name: organization_usage.c[name] + statement.excluded[name] for name in _COUNTED}
    return statement.on_conflict_do_update(index_elements=["organization_id", "shard"], set_=changed)


ADD_USAGE: Final = _add_usage()


def usage_rows(used: Used) -> Rows:
    """Count a write in one of the shards, as a part of the statement that writes."""
    shard = random.randrange(SHARDS)  # noqa: S311 - spreads load, protects nothing
    row = {"shard": shard, **{name: getattr(used, name) for name in _COUNTED}}
    return Rows(statement=ADD_USAGE, values=as_arrays(organization_usage, [row]))


async def check_quota(tx: Transaction, more: Used) -> None:
    """Raise :class:`QuotaExceeded` when a write would pass a limit of the caller's organization.

    Others who add to an organization with a limit wait here until this transaction ends. Deleting is always possible.
    """
    limits = tx.caller.limits
    if more.memories < 0 or (limits.memories is None and limits.storage_bytes is None):
        return
    await tx.run(_ONE_WRITER, {"locks": [tx.organization_id.int & _INT63]})
    used = await read_usage(tx)
    if limits.memories is not None and more.memories and used.memories + more.memories > limits.memories:
        raise QuotaExceeded(
            f"The organization holds {used.memories} of {limits.memories} memories; {more.memories} more would pass "
            "the limit.",
            hint="Delete some, or ask the operator of the platform for a higher limit.",
        )
    if limits.storage_bytes is not None and used.content_bytes + more.content_bytes > limits.storage_bytes:
        raise QuotaExceeded(
            f"The organization stores {used.content_bytes} of {limits.storage_bytes} bytes; {more.content_bytes} more "
            "would pass the limit.",
            hint="Purge deleted memories, or ask the operator of the platform for a higher limit.",
        )


async def read_usage(tx: Transaction) -> StorageUsage:
    """Add up the shards."""
    row = (await tx.execute(select(*_sums()).where(tx.own(organization_usage)))).one()
    return StorageUsage.model_validate(row._mapping)


def _sums() -> list[ColumnElement[int]]:
    return [cast(func.coalesce(func.sum(organization_usage.c[name]), 0), BigInteger).label(name) for name in _COUNTED]


async def usage_error(tx: Transaction) -> Used:
    """Say how far the counts are from what is stored; one statement, so that no write comes between the two."""
    live = memories.c.known_until.is_(None) & memories.c.deleted_at.is_(None)
    truth = (
        select(
            func.count().filter(live).label("memories"),
            func.count().label("versions"),
            func.coalesce(func.sum(func.octet_length(memories.c.content)), 0).label("content_bytes"),
        )
        .where(tx.own(memories))
        .subquery()
    )
    counted = select(*_sums()).where(tx.own(organization_usage)).subquery()
    errors = [cast(counted.c[name] - truth.c[name], BigInteger).label(name) for name in _COUNTED]
    row = (await tx.execute(select(*errors).select_from(counted.join(truth, true())))).one()
    return Used(memories=row.memories, versions=row.versions, content_bytes=row.content_bytes)


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tells what the caller's organization stores."""

    database: Database

    @operation(Permission.USAGE_READ, read_only=True)
    async def current(self, tx: Transaction) -> StorageUsage:
        """Read the counts of memories, versions and bytes."""
        return await read_usage(tx)
