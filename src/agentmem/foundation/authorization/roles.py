"""The tables of roles: what each may do, and how far what it writes is trusted."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from agentmem.schemas.access import Permission, Role
from agentmem.schemas.memories import Origin

_READ: Final = frozenset({Permission.MEMORY_READ, Permission.ORGANIZATION_READ, Permission.USAGE_READ})
_WORK: Final = frozenset({Permission.MEMORY_READ, Permission.MEMORY_WRITE, Permission.MEMORY_DELETE})
_MANAGE: Final = frozenset(
    {
        Permission.AUDIT_READ,
        Permission.AUDIT_VERIFY,
        Permission.ENCRYPTION_READ,
        Permission.ENCRYPTION_ROTATE,
        Permission.JOB_READ,
        Permission.JOB_WRITE,
        Permission.KEY_READ,
        Permission.KEY_WRITE,
        Permission.MEMBER_READ,
        Permission.MEMBER_WRITE,
        Permission.ORGANIZATION_READ,
        Permission.ORGANIZATION_WRITE,
        Permission.USAGE_READ,
    }
)
_TELL: Final = frozenset({Permission.EVENT_READ, Permission.WEBHOOK_READ, Permission.WEBHOOK_WRITE})
_ADMIN: Final = (
    _READ
    | _WORK
    | _MANAGE
    | _TELL
    | {
        Permission.MEMORY_DECLASSIFY,
        Permission.MEMORY_MAINTAIN,
        Permission.MEMORY_PROMOTE,
        Permission.PII_READ,
        Permission.PRIVACY_MANAGE,
        Permission.PRIVACY_READ,
    }
)

ROLES: Final[Mapping[Role, frozenset[Permission]]] = MappingProxyType(
    {
        Role.OWNER: _ADMIN | {Permission.ORGANIZATION_DELETE},
        Role.ADMIN: _ADMIN,
        Role.MEMBER: _READ | _WORK,
        Role.VIEWER: _READ,
        Role.SERVICE: _WORK,
        Role.OPERATOR: _MANAGE | {Permission.ACCOUNT_MANAGE, Permission.PLATFORM_MANAGE, Permission.METRICS_READ},
    }
)
"""What the members of each role may do; ``account:use`` is no role's: whoever has signed in holds it."""

ORIGIN_OF_ROLE: Final[Mapping[Role, Origin]] = MappingProxyType(
    {
        Role.OWNER: Origin.OPERATOR,
        Role.ADMIN: Origin.OPERATOR,
        Role.MEMBER: Origin.USER,
        Role.VIEWER: Origin.USER,
        Role.SERVICE: Origin.AGENT,
        Role.OPERATOR: Origin.OPERATOR,
    }
)
"""The origin of the memories that the members of each role write."""
