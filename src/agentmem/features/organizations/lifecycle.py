"""The life of an organization: active, suspended, being deleted. Every change is decided under the lock of its row.

| from | suspend | resume | delete | restore, while the grace lasts |
| --- | --- | --- | --- | --- |
| active | suspended | active | deleting | |
| suspended | suspended | active | deleting (operators only) | |
| deleting | | | deleting (operators only) | suspended if it was, else active |

Everything else is refused. Once the grace is over nothing changes any more: the next sweep erases the organization.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from agentmem.errors import Conflict
from agentmem.features.organizations import repository
from agentmem.foundation.database.transaction import Transaction
from agentmem.schemas.organizations import Organization, OrganizationStatus

ACTIVE, SUSPENDED, DELETING = OrganizationStatus.ACTIVE, OrganizationStatus.SUSPENDED, OrganizationStatus.DELETING


def require_status(found: Organization, *expected: OrganizationStatus) -> None:
    """Raise :class:`Conflict` unless the organization is in one of these states."""
    if found.status not in expected:
        raise Conflict(
            f"The organization is {found.status.value}.",
            hint=f"This can be done while it is {' or '.join(item.value for item in expected)}.",
        )


def require_grace(found: Organization, now: datetime) -> None:
    """Raise :class:`Conflict` once the grace of a deletion is over."""
    if found.purge_after is not None and found.purge_after <= now:
        raise Conflict(
            f"The organization was to be erased after {found.purge_after:%Y-%m-%d %H:%M} UTC.",
            hint="Its grace is over, and nothing takes the deletion back.",
        )


async def held(tx: Transaction) -> Organization:
    """Read the organization and keep others from changing its state until the transaction ends."""
    tx.touch([tx.organization_id])
    return await repository.fetch_organization(tx, tx.organization_id, lock=True)


async def suspend(tx: Transaction, reason: str) -> Organization:
    """Take the organization out of use."""
    require_status(await held(tx), ACTIVE, SUSPENDED)
    return await _go(tx, SUSPENDED, reason)


async def resume(tx: Transaction) -> Organization:
    """Put a suspended organization back into use."""
    require_status(await held(tx), ACTIVE, SUSPENDED)
    return await _go(tx, ACTIVE, None)


async def delete(tx: Transaction, found: Organization, grace_days: int, reason: str | None) -> Organization:
    """Take the organization, which is held, out of use, and have it erased after the grace."""
    require_grace(found, tx.now)
    suspended = found.status is SUSPENDED
    suspended_for = found.status_reason if suspended else await repository.fetch_suspended_for(tx)
    purge_after = tx.now + timedelta(days=grace_days)
    return await _go(tx, DELETING, reason, purge_after=purge_after, suspended_for=suspended_for)


async def restore(tx: Transaction, found: Organization) -> Organization:
    """Take back the deletion of the organization, which is held: it is again what it was before."""
    require_status(found, DELETING)
    require_grace(found, tx.now)
    suspended_for = await repository.fetch_suspended_for(tx)
    return await _go(tx, ACTIVE if suspended_for is None else SUSPENDED, suspended_for)


async def _go(
    tx: Transaction,
    status: OrganizationStatus,
    reason: str | None,
    *,
    purge_after: datetime | None = None,
    suspended_for: str | None = None,
) -> Organization:
    await repository.set_purge(tx, purge_after)
    values = {
        "status": status.value,
        "status_reason": reason,
        "purge_after": purge_after,
        "suspended_for": suspended_for,
    }
    return await repository.change_settings(tx, values, None)
