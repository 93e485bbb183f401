"""What an organization and its members are, and who may change a member; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from agentmem.errors import PermissionDenied
from agentmem.foundation.authorization.caller import Caller, Limits, Permission
from agentmem.foundation.authorization.platform import platform_id
from agentmem.foundation.authorization.roles import ROLES
from agentmem.kit.ids import OrganizationId, PrincipalId
from agentmem.schemas.access import Role
from agentmem.schemas.memories import Origin
from agentmem.schemas.organizations import OrganizationLimits, OrganizationStatus

BY_OPERATOR: Final = "deleted by the operator"
"""The reason of a deletion that the organization itself cannot take back."""

TOP_ROLES: Final = frozenset({Role.OWNER, Role.OPERATOR})
"""Roles of which an organization keeps at least one enabled member, once it has one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MemberStanding:
    """What authentication asks of a member."""

    role: Role
    enabled: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What authentication asks of an organization; members that are not there are left out."""

    organization_id: OrganizationId
    status: OrganizationStatus
    limits: Limits
    require_if_match: bool
    max_key_days: int
    unused_key_days: int | None
    members: Mapping[UUID, MemberStanding] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Membership:
    """Where an account is a member, and as which."""

    organization_id: OrganizationId
    member_id: UUID


@dataclass(frozen=True, kw_only=True, slots=True)
class Invited:
    """What the secret of an invitation shows: whom it was sent to, what they become, and who asked."""

    invitation_id: UUID
    email: str = field(repr=False)
    role: Role
    invited_by: PrincipalId


def limits_of(limits: OrganizationLimits) -> Limits:
    """Give limits as a caller carries them."""
    return Limits(
        memories=limits.memories,
        storage_bytes=limits.storage_bytes,
        requests_per_minute=limits.requests_per_minute,
    )


def may_give(caller: Caller, role: Role) -> None:
    """Raise :class:`PermissionDenied` unless the caller may make, change or disable a member of this role.

    Owners are the owners' business, and operators exist in the platform's organization alone. Whether a caller is an
    owner is read from the permission that no other role has.
    """
    if role is Role.OWNER and Permission.ORGANIZATION_DELETE not in caller.permissions:
        raise PermissionDenied(
            "Only an owner makes, changes or disables an owner.", hint="Ask an owner of the organization."
        )
    operates = caller.organization_id == platform_id() and Permission.PLATFORM_MANAGE in caller.permissions
    if role is Role.OPERATOR and not operates:
        raise PermissionDenied(
            "Operators are members of the platform's organization, and operators alone make them.",
            hint="Give another role.",
        )


def founding_caller(target: Caller) -> Caller:
    """Make the caller that founds an organization, and makes its first owner and key: nobody who is in it yet."""
    return replace(stranger(target), permissions=ROLES[Role.OWNER])


def stranger(caller: Caller) -> Caller:
    """Name an operator as what it is in an organization that is not its own: no member, and no key of it."""
    return Caller(
        organization_id=caller.organization_id,
        principal_id=PrincipalId(f"operator:{caller.principal_id}"),
        origin=Origin.OPERATOR,
        permissions=frozenset(),
        request_id=caller.request_id,
    )
