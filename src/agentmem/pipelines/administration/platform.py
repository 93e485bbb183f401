"""What operators of the platform do with organizations: create, look at, limit, suspend, delete, restore, erase."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from agentmem.errors import Conflict
from agentmem.features.memories.upkeep import MemoryUpkeep
from agentmem.features.organizations.members import MemberService
from agentmem.features.organizations.model import founding_caller, limits_of, stranger
from agentmem.features.organizations.platform import PlatformService
from agentmem.features.organizations.service import OrganizationService
from agentmem.foundation.authorization.caller import Caller, Permission, service_caller
from agentmem.foundation.authorization.platform import platform_id
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.inspect import Caretaker
from agentmem.foundation.inference.loaded import Models
from agentmem.kit.ids import OrganizationId, uuid7
from agentmem.kit.paging import decode_id, query_fingerprint
from agentmem.schemas.memories import Page, page_by_id
from agentmem.schemas.organizations import NewOrganization, Organization, OrganizationLimits

_PAGES: Final = query_fingerprint("organizations")
OWNER_NAME: Final = "owner"


@dataclass(frozen=True, kw_only=True)
class Platform:
    """Work of operators on organizations that are not their own; every call needs ``platform:manage``."""

    service: PlatformService
    organizations: OrganizationService
    members: MemberService
    upkeep: MemoryUpkeep
    models: Models
    caretaker: Caretaker
    database: Database

    async def create(self, caller: Caller, new: NewOrganization, made_id: UUID | None = None) -> Organization:
        """Make an organization with keys of its own, the server's model, and a first owner.

        It takes several transactions. With the id of an attempt that was cut off, this one goes on where that stopped.
        """
        organization_id = OrganizationId(made_id or uuid7())
        await self.service.order_creation(caller, organization_id)
        target = founding_caller(replace(caller, organization_id=organization_id))
        await self.organizations.register(target, new.name, limits_of(new.limits))
        await self.upkeep.active_model(service_caller(organization_id), self.models.current.model)
        await self.members.ensure_owner(target, OWNER_NAME)
        return await self.service.view(_acting_on(caller, organization_id))

    async def list(self, caller: Caller, cursor: str | None = None, limit: int = 100) -> Page[Organization]:
        """Read a page of organizations, the oldest of those made by operators first."""
        caller.require(Permission.PLATFORM_MANAGE)
        after = decode_id(cursor, _PAGES)
        found = await self.service.several(None if after is None else OrganizationId(after), limit + 1)
        return page_by_id(found, limit, _PAGES)

    async def view(self, caller: Caller, organization_id: OrganizationId) -> Organization:
        """Read one organization; raises :class:`NotFound`."""
        return await self.service.view(_acting_on(caller, organization_id))

    async def set_limits(
        self, caller: Caller, organization_id: OrganizationId, limits: OrganizationLimits, if_version: int | None = None
    ) -> Organization:
        """Set what an organization may use; what is not given is unlimited."""
        return await self.service.set_limits(_acting_on(caller, organization_id), limits, if_version)

    async def suspend(self, caller: Caller, organization_id: OrganizationId, reason: str) -> Organization:
        """Take an organization out of use; its keys are refused within a second."""
        return await self.service.suspend(_acting_on(caller, organization_id, changing=True), reason)

    async def resume(self, caller: Caller, organization_id: OrganizationId) -> Organization:
        """Put a suspended organization back into use."""
        return await self.service.resume(_acting_on(caller, organization_id, changing=True))

    async def delete(
        self, caller: Caller, organization_id: OrganizationId, grace_days: int, if_version: int | None = None
    ) -> Organization:
        """Take an organization out of use now, and have it erased after the grace."""
        target = _acting_on(caller, organization_id, changing=True)
        return await self.service.schedule_deletion(target, grace_days, if_version)

    async def restore(self, caller: Caller, organization_id: OrganizationId) -> Organization:
        """Take back a deletion while its grace lasts; raises :class:`Conflict` if there is none."""
        return await self.service.cancel_deletion(_acting_on(caller, organization_id, changing=True))

    async def erase(self, organization_id: OrganizationId) -> bool:
        """Erase an organization if its grace has ended, and tell whether it had; the sweeper calls it."""
        removed = await self.caretaker.erase_organization(organization_id, self.database.clock())
        if removed is not None:
            self.database.forget_keys([organization_id])
            await self.database.subjects.destroy_all(organization_id)
        return removed is not None

    async def forget_erased(self) -> None:
        """Drop the keys of organizations that another process has erased."""
        self.database.forget_keys(await self.service.erased(self.database.known()))


def _acting_on(caller: Caller, organization_id: OrganizationId, *, changing: bool = False) -> Caller:
    """Make the operator a caller of another organization, with no permission but the operators' own."""
    caller.require(Permission.PLATFORM_MANAGE)
    if changing and organization_id == platform_id():
        raise Conflict("The platform's own organization is neither suspended nor deleted.")
    permissions = frozenset({Permission.PLATFORM_MANAGE})
    return replace(stranger(caller), organization_id=organization_id, permissions=permissions)
