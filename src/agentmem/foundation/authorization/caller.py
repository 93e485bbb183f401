"""Who is asking, and what they may do."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import astuple, dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from agentmem.errors import PermissionDenied
from agentmem.foundation.authorization.platform import platform_id
from agentmem.kit.ids import AccountId, OrganizationId, PrincipalId
from agentmem.schemas.access import Permission
from agentmem.schemas.memories import Origin

__all__ = [
    "BOUND_PERMISSIONS",
    "Binding",
    "Caller",
    "Fence",
    "Limits",
    "Permission",
    "accounts_caller",
    "local_operator",
    "own_account",
    "service_caller",
]

BOUND_PERMISSIONS: Final = frozenset({Permission.MEMORY_READ, Permission.MEMORY_WRITE, Permission.MEMORY_DELETE})
"""All that a caller may hold who is bound to a user, an agent, a run or an app."""

LOCAL: Final = PrincipalId("local")
"""Whoever may open the store: the embedded library and the command line beside a server."""
SERVICE: Final = PrincipalId("service")
"""An organization's own background work."""
_SERVICE_PERMISSIONS: Final = frozenset(
    {
        Permission.ENCRYPTION_READ,
        Permission.ENCRYPTION_ROTATE,
        Permission.KEY_READ,
        Permission.KEY_WRITE,
        Permission.MEMORY_MAINTAIN,
        Permission.MEMORY_READ,
        Permission.MEMORY_WRITE,
        Permission.ORGANIZATION_READ,
        Permission.WEBHOOK_WRITE,
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Binding:
    """The only scope ids that a caller reaches; an absent one is not bound."""

    user_id: str | None = None
    agent_id: str | None = None
    run_id: str | None = None
    app_id: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is bound, which means the whole organization."""
        return astuple(self) == (None, None, None, None)

    def within(self, outer: Binding) -> bool:
        """Whether everything that this one admits is admitted by the outer one."""
        return all(bound is None or bound == own for own, bound in zip(astuple(self), astuple(outer), strict=True))


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What an organization may use; ``None`` is no limit."""

    memories: int | None = None
    storage_bytes: int | None = None
    requests_per_minute: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Fence:
    """Work that one caller of an organization does at a time, and the number under which this one began it."""

    work: str
    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """An authenticated principal of one organization; only admission and the embedded library make one."""

    organization_id: OrganizationId
    principal_id: PrincipalId
    origin: Origin
    permissions: frozenset[Permission]
    binding: Binding = Binding()
    limits: Limits = Limits()
    api_key_id: str | None = None
    request_id: str | None = None
    account_id: AccountId | None = None
    """The account of a person who has signed in; a key has none."""
    session_id: UUID | None = None
    auth_time: datetime | None = None
    """When the person last proved who they are."""
    amr: tuple[str, ...] = ()
    """By what they proved it (RFC 8176)."""
    acr: str | None = None
    """How sure that is: ``aal1``, or ``aal2`` with a second factor."""
    require_if_match: bool = False
    fence: Fence | None = None
    """Refuses what the caller writes once somebody else has begun its work."""
    renewed: Callable[[], Awaitable[Caller]] | None = field(default=None, repr=False, compare=False)
    """Authenticates a caller again whose call may take long; see :meth:`now`."""

    @property
    def namespace(self) -> str:
        """Principal and binding, for idempotency keys: what one key did is never replayed to another binding."""
        bound = "" if self.binding.is_empty else json.dumps(astuple(self.binding))
        return f"{self.principal_id}{bound}"

    async def now(self) -> Caller:
        """Give the caller as it stands now: a call that takes long may outlast the key that it was made with.

        Raises what a new call with that key would.
        """
        return self if self.renewed is None else replace(await self.renewed(), fence=self.fence)

    def require(self, permission: Permission) -> None:
        """Raise :class:`PermissionDenied` unless the caller holds the permission."""
        if permission not in self.permissions:
            raise PermissionDenied(
                f"{self.principal_id} lacks the permission {permission.value}.",
                hint="Ask an administrator of the organization to grant it.",
            )


def local_operator(organization_id: OrganizationId) -> Caller:
    """Make the caller of the embedded library: whoever may open the store may do everything in it."""
    return Caller(
        organization_id=organization_id,
        principal_id=LOCAL,
        origin=Origin.OPERATOR,
        permissions=frozenset(Permission),
    )


def accounts_caller(request_id: str | None = None) -> Caller:
    """Make the caller that looks after the accounts before it is known who asks: signing in, registering, resetting."""
    return Caller(
        organization_id=platform_id(),
        principal_id=SERVICE,
        origin=Origin.OPERATOR,
        permissions=frozenset({Permission.ACCOUNT_MANAGE}),
        request_id=request_id,
    )


def own_account(caller: Caller) -> Caller:
    """Make whoever has signed in the caller of their own account, which belongs to the platform's organization.

    Raises :class:`PermissionDenied` for a caller that is no person.
    """
    if caller.account_id is None:
        raise PermissionDenied("Only a person who has signed in has an account.", hint="Sign in, and try again.")
    return replace(
        caller,
        organization_id=platform_id(),
        principal_id=PrincipalId(f"account:{caller.account_id}"),
        permissions=frozenset({Permission.ACCOUNT_USE}),
        limits=Limits(),
        renewed=None,
    )


def service_caller(organization_id: OrganizationId) -> Caller:
    """Make the caller of background work in an organization: maintenance, sealing, expiry."""
    return Caller(
        organization_id=organization_id,
        principal_id=SERVICE,
        origin=Origin.OPERATOR,
        permissions=_SERVICE_PERMISSIONS,
    )
