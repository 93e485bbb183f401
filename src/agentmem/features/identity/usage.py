"""What API keys were used for: requests and cost of each key, day, route and class of status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Select, func, select, update
from sqlalchemy.dialects.postgresql import insert

from agentmem.features.identity import repository
from agentmem.features.identity.tables import api_keys, key_usage
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.system import SystemPurpose, SystemTransaction
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import OrganizationId
from agentmem.operations import operation, system_operation
from agentmem.schemas.usage import UsageDay


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyCount:
    """Requests of a key to a route on a day that were answered with one class of status (2 for 200 to 299)."""

    key_id: str
    day: date
    route: str
    status_class: int
    requests: int
    cost: int
    last_used_at: datetime


@dataclass(frozen=True, kw_only=True)
class KeyUsage:
    """Operations on the counts of the caller's organization."""

    database: Database

    @operation(Permission.USAGE_READ, read_only=True)
    async def of_key(self, tx: Transaction, key_id: str, since: date, until: date) -> list[UsageDay]:
        """Give the counts of one key from one day to another, both included; raises :class:`NotFound`."""
        await repository.fetch_key(tx, key_id)
        return await _read(tx, _between(tx, since, until).where(key_usage.c.key_id == key_id))

    @operation(Permission.USAGE_READ, read_only=True)
    async def of_organization(self, tx: Transaction, since: date, until: date) -> list[UsageDay]:
        """Give the counts of all keys together from one day to another, both included."""
        return await _read(tx, _between(tx, since, until))

    @system_operation(SystemPurpose.SWEEP)
    async def record(self, tx: SystemTransaction, organization_id: OrganizationId, counts: Sequence[KeyCount]) -> None:
        """Add what was counted, and when each key was last used; what belongs to no key any more is left out.

        Keys are taken in order, so that processes which write at once wait for each other and never in a circle.
        """
        await tx.bind(organization_id)
        known = {key_id for key_id, used in sorted(_last(counts).items()) if await _touch(tx, key_id, used)}
        rows = [
            {
                "organization_id": organization_id,
                "key_id": one.key_id,
                "day": one.day,
                "route": one.route,
                "status_class": one.status_class,
                "requests": one.requests,
                "cost": one.cost,
            }
            for one in sorted(counts, key=lambda one: (one.key_id, one.day, one.route, one.status_class))
            if one.key_id in known
        ]
        if not rows:
            return
        added = insert(key_usage)
        await tx.execute(
            added.on_conflict_do_update(
                index_elements=list(key_usage.primary_key),
                set_={
                    "requests": key_usage.c.requests + added.excluded.requests,
                    "cost": key_usage.c.cost + added.excluded.cost,
                },
            ),
            rows,
        )


async def _touch(tx: SystemTransaction, key_id: str, used: datetime) -> bool:
    """Note when a key was last used, and tell whether there is such a key."""
    statement = (
        update(api_keys)
        .where(tx.own(api_keys), api_keys.c.key_id == key_id)
        .values(last_used_at=func.greatest(api_keys.c.last_used_at, used))
        .returning(api_keys.c.key_id)
    )
    return (await tx.execute(statement)).first() is not None


def _last(counts: Sequence[KeyCount]) -> dict[str, datetime]:
    last: dict[str, datetime] = {}
    for one in counts:
        last[one.key_id] = max(one.last_used_at, last.get(one.key_id, one.last_used_at))
    return last


def _between(tx: Transaction, since: date, until: date) -> Select[Any]:
    kept = (key_usage.c.day, key_usage.c.route, key_usage.c.status_class)
    sums = [func.sum(column).label(column.name) for column in (key_usage.c.requests, key_usage.c.cost)]
    found = select(*kept, *sums).where(tx.own(key_usage), key_usage.c.day.between(since, until))
    return found.group_by(*kept).order_by(*kept)


async def _read(tx: Transaction, statement: Select[Any]) -> list[UsageDay]:
    rows = await tx.execute(statement)
    return [
        UsageDay(
            day=row.day,
            route=row.route,
            status_class=row.status_class,
            requests=row.requests,
            cost=row.cost,
        )
        for row in rows
    ]
