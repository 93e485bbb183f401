"""Callers of organizations, made without keys: what admission would make."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from agentmem import AsyncMemory
from agentmem.bootstrap import App
from agentmem.foundation.authorization.caller import Caller, local_operator
from agentmem.foundation.authorization.platform import PLATFORM_NAME, platform_id
from agentmem.foundation.authorization.roles import ORIGIN_OF_ROLE, ROLES
from agentmem.kit.ids import PrincipalId
from agentmem.schemas.access import Role


def acting_as(caller: Caller, role: Role, member_id: UUID | None = None) -> Caller:
    """Give a member of a role in the caller's organization."""
    principal = PrincipalId(f"member:{member_id or UUID(int=7)}")
    return replace(caller, principal_id=principal, permissions=ROLES[role], origin=ORIGIN_OF_ROLE[role])


async def operator_of(app: App) -> Caller:
    """Give an operator of the platform, whose organization is made first."""
    local = local_operator(platform_id())
    await app.organizations.register(local, PLATFORM_NAME)
    return acting_as(local, Role.OPERATOR)


def caller_of(memory: AsyncMemory, role: Role) -> Caller:
    """Give a member of a role in the organization of a store."""
    return acting_as(memory.app.caller, role)
