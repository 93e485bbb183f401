"""Operations on the caller's organization: registration, settings, and its deletion."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from agentmem.errors import Conflict, NotFound, PermissionDenied
from agentmem.features.organizations import lifecycle, repository
from agentmem.features.organizations.model import BY_OPERATOR
from agentmem.foundation.authorization.caller import Caller, Limits, Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.encryption.keyring import WrappedKey, create_organization_keys
from agentmem.foundation.ledger.audit import Outcome, write_audit_entry
from agentmem.kit.versions import require_version
from agentmem.operations import operation
from agentmem.schemas.organizations import Organization, OrganizationPatch, OrganizationStatus


@dataclass(frozen=True, kw_only=True)
class OrganizationService:
    """Operations on the caller's organization."""

    database: Database

    async def register(self, caller: Caller, name: str, limits: Limits | None = None) -> None:
        """Make the caller's organization with its keys, unless it is there; of two at the same time one wins."""
        try:
            await self.name(caller)
        except NotFound:
            pass
        else:
            return
        keys = await create_organization_keys(self.database.provider, caller.organization_id, now=self.database.clock())
        with suppress(Conflict):  # another process was faster, and its keys are the organization's
            await self._register(caller, name, list(keys), limits or Limits())

    async def _register(self, caller: Caller, name: str, keys: list[WrappedKey], limits: Limits) -> None:
        async with self.database.registration(caller, keys) as tx:
            if not await repository.insert_organization(tx, name, limits):
                raise Conflict(f"The organization {name!r} is there already.")
            await repository.insert_keys(tx, keys)
            await write_audit_entry(tx, "organization.registered", Outcome.DONE)

    @operation(Permission.ORGANIZATION_READ, read_only=True)
    async def name(self, tx: Transaction) -> str:
        """Read the organization's name."""
        return await repository.fetch_name(tx)

    @operation(Permission.ORGANIZATION_READ, read_only=True)
    async def view(self, tx: Transaction) -> Organization:
        """Read the organization: status, limits, settings."""
        return await repository.fetch_organization(tx, tx.organization_id)

    @operation(Permission.ORGANIZATION_WRITE, audit="organization.updated")
    async def update(self, tx: Transaction, patch: OrganizationPatch, if_version: int | None = None) -> Organization:
        """Change the organization's settings; raises :class:`VersionConflict`."""
        values = patch.model_dump(exclude_unset=True)
        if "name" in values:
            values["display_name"] = values.pop("name")
        tx.touch([tx.organization_id])
        return await repository.change_settings(tx, values, if_version)

    @operation(Permission.ORGANIZATION_DELETE, audit="organization.deletion_scheduled")
    async def schedule_deletion(self, tx: Transaction, grace_days: int, if_version: int | None = None) -> Organization:
        """Take the organization out of use now and have it erased after the grace; the first call's date holds."""
        found = await lifecycle.held(tx)
        if found.status is OrganizationStatus.DELETING:
            return found
        lifecycle.require_status(found, OrganizationStatus.ACTIVE)
        require_version(repository.NAMED, found.version, if_version)
        return await lifecycle.delete(tx, found, grace_days, None)

    @operation(Permission.ORGANIZATION_DELETE, audit="organization.deletion_cancelled")
    async def cancel_deletion(self, tx: Transaction) -> Organization:
        """Take back the organization's deletion while its grace lasts; raises :class:`Conflict` if it cannot be."""
        found = await lifecycle.held(tx)
        if found.status_reason == BY_OPERATOR:
            raise PermissionDenied("The operator deleted the organization.", hint="Ask the operator to restore it.")
        return await lifecycle.restore(tx, found)
