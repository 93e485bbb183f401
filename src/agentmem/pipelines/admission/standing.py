"""From a key's rows to what it may do now; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from agentmem.errors import OrganizationSuspended
from agentmem.features.identity.model import (
    StoredKey,
    admits,
    is_sound,
    permissions_of,
    principal_of,
)
from agentmem.features.organizations.model import Standing
from agentmem.foundation.authorization.caller import Caller, Permission
from agentmem.foundation.authorization.platform import platform_id
from agentmem.foundation.authorization.roles import ORIGIN_OF_ROLE
from agentmem.foundation.encryption.index import IndexKeys
from agentmem.kit.networks import Address
from agentmem.schemas.access import Role
from agentmem.schemas.organizations import OrganizationStatus

_WHILE_DELETING: Final = frozenset({Permission.ORGANIZATION_READ, Permission.ORGANIZATION_DELETE})


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """A key that was found: whose it is, what it may do, and the keys that check its secret."""

    chain: Sequence[StoredKey]
    index: IndexKeys
    role: Role
    caller: Caller
    status: OrganizationStatus

    @property
    def key(self) -> StoredKey:
        """The key itself."""
        return self.chain[0]

    def why_not(self, address: Address, moment: datetime) -> str | None:
        """Say in a word why the key is not good now and from there, if it is not."""
        if self.key.revoked_at is not None:
            return "revoked"
        if not self.key.is_good_at(moment):
            return "expired"
        return None if admits(self.chain, address) else "network"

    def require_active(self) -> None:
        """Raise :class:`OrganizationSuspended` unless the organization can be used.

        While it waits for its deletion, those who may delete it may still look at it and take the deletion back.
        """
        if self.status is OrganizationStatus.SUSPENDED or (
            self.status is OrganizationStatus.DELETING and Permission.ORGANIZATION_DELETE not in self.caller.permissions
        ):
            raise OrganizationSuspended(
                "The organization is suspended or about to be deleted.", hint="Ask whoever runs this installation."
            )


def members_of(chain: Sequence[StoredKey]) -> list[UUID]:
    """Name the members on whom a key depends: the one it acts as, and who made it and the keys above it."""
    return sorted({chain[0].member_id, *(key.created_by for key in chain)})


def roles_of(standing: Standing) -> Mapping[UUID, Role]:
    """Give the roles of the members that are not disabled; operators there are in the platform's organization alone."""
    at_home = standing.organization_id == platform_id()
    return {
        member_id: member.role
        for member_id, member in standing.members.items()
        if member.enabled and (at_home or member.role is not Role.OPERATOR)
    }


def holder_of(chain: Sequence[StoredKey], standing: Standing, index: IndexKeys) -> Holder | None:
    """Work out what a key may do; nobody holds one whose member is disabled, or that stands above its parents."""
    key = chain[0]
    roles = roles_of(standing)
    role = roles.get(key.member_id)
    if role is None or key.created_by not in roles or not is_sound(chain):
        return None
    permissions = permissions_of(chain, roles)
    if standing.status is OrganizationStatus.DELETING:
        permissions &= _WHILE_DELETING
    caller = Caller(
        organization_id=key.organization_id,
        principal_id=principal_of(key.member_id),
        origin=ORIGIN_OF_ROLE[role],
        permissions=permissions,
        binding=key.binding,
        limits=standing.limits,
        api_key_id=key.key_id,
        require_if_match=standing.require_if_match,
    )
    return Holder(chain=chain, index=index, role=role, caller=caller, status=standing.status)
