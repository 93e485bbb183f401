"""Operations of the platform's operators: all but one are bound to the organization they act on.

The caller that they take is made by :meth:`agentmem.pipelines.administration.platform.Platform`, which has checked
that whoever asks is an operator; the gate checks it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentmem.errors import NotFound
from agentmem.features.organizations import lifecycle, repository
from agentmem.features.organizations.model import BY_OPERATOR
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.system import SystemPurpose, SystemTransaction
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import OrganizationId
from agentmem.kit.versions import require_version
from agentmem.operations import operation, system_operation
from agentmem.schemas.organizations import Organization, OrganizationLimits


@dataclass(frozen=True, kw_only=True)
class PlatformService:
    """Operations on an organization that only the platform's operators may do."""

    database: Database

    @operation(Permission.PLATFORM_MANAGE, audit="organization.creation_ordered")
    async def order_creation(self, tx: Transaction, organization_id: OrganizationId) -> None:
        """Record in the operator's own organization who ordered that this one is made."""
        tx.touch([organization_id])

    @operation(Permission.PLATFORM_MANAGE, read_only=True)
    async def view(self, tx: Transaction) -> Organization:
        """Read the organization as it stands."""
        return await repository.fetch_organization(tx, tx.organization_id)

    @operation(Permission.PLATFORM_MANAGE, audit="organization.limited")
    async def set_limits(
        self, tx: Transaction, limits: OrganizationLimits, if_version: int | None = None
    ) -> Organization:
        """Set what the organization may use; what is not given is unlimited."""
        tx.touch([tx.organization_id])
        values = {
            "max_memories": limits.memories,
            "max_storage_bytes": limits.storage_bytes,
            "requests_per_minute": limits.requests_per_minute,
        }
        return await repository.change_settings(tx, values, if_version)

    @operation(Permission.PLATFORM_MANAGE, audit="organization.suspended")
    async def suspend(self, tx: Transaction, reason: str) -> Organization:
        """Take the organization out of use; its keys are refused within a second."""
        return await lifecycle.suspend(tx, reason)

    @operation(Permission.PLATFORM_MANAGE, audit="organization.resumed")
    async def resume(self, tx: Transaction) -> Organization:
        """Put a suspended organization back into use."""
        return await lifecycle.resume(tx)

    @operation(Permission.PLATFORM_MANAGE, audit="organization.deletion_scheduled")
    async def schedule_deletion(self, tx: Transaction, grace_days: int, if_version: int | None = None) -> Organization:
        """Take the organization out of use now, and have it erased after the grace; only an operator can restore it."""
        found = await lifecycle.held(tx)
        require_version(repository.NAMED, found.version, if_version)
        return await lifecycle.delete(tx, found, grace_days, BY_OPERATOR)

    @operation(Permission.PLATFORM_MANAGE, audit="organization.deletion_cancelled")
    async def cancel_deletion(self, tx: Transaction) -> Organization:
        """Take back a deletion, whoever asked for it, while its grace lasts; one that was suspended is so again."""
        return await lifecycle.restore(tx, await lifecycle.held(tx))

    @system_operation(SystemPurpose.SWEEP, read_only=True)
    async def all_ids(self, tx: SystemTransaction, after: OrganizationId | None, limit: int) -> list[OrganizationId]:
        """Read the ids of up to ``limit`` organizations that are not erased, in order."""
        return await repository.fetch_ids(tx, after, limit)

    @system_operation(SystemPurpose.SWEEP, read_only=True)
    async def due(self, tx: SystemTransaction) -> list[OrganizationId]:
        """Read the ids of the organizations whose grace has ended."""
        return await repository.fetch_due(tx)

    @system_operation(SystemPurpose.SWEEP, read_only=True)
    async def erased(self, tx: SystemTransaction, ids: Sequence[OrganizationId]) -> list[OrganizationId]:
        """Read which of these organizations are no more."""
        return await repository.fetch_erased(tx, ids)

    @system_operation(SystemPurpose.SWEEP, read_only=True)
    async def several(self, tx: SystemTransaction, after: OrganizationId | None, limit: int) -> list[Organization]:
        """Read up to ``limit`` organizations in the order of their ids."""
        found: list[Organization] = []
        for organization_id in await repository.fetch_ids(tx, after, limit):
            await tx.bind(organization_id)
            try:
                found.append(await repository.fetch_organization(tx, organization_id))
            except NotFound:  # erased in this moment
                continue
        return found
