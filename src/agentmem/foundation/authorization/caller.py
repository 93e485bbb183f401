"""Who is asking, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from agentmem.errors import PermissionDenied
from agentmem.kit.ids import OrganizationId, PrincipalId
from agentmem.schemas.memories import Origin


class Permission(StrEnum):
    """What an operation may ask for, named ``resource:action``."""

    AUDIT_READ = "audit:read"
    MEMORY_DELETE = "memory:delete"
    MEMORY_MAINTAIN = "memory:maintain"
    MEMORY_READ = "memory:read"
    MEMORY_WRITE = "memory:write"
    ORGANIZATION_READ = "organization:read"


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """An authenticated principal of one organization; only an entrypoint makes one."""

    organization_id: OrganizationId
    principal_id: PrincipalId
    origin: Origin
    permissions: frozenset[Permission]

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
        principal_id=PrincipalId("local"),
        origin=Origin.OPERATOR,
        permissions=frozenset(Permission),
    )
