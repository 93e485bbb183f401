"""Operations on the members of the caller's organization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid5

from agentmem.errors import Conflict
from agentmem.features.organizations import member_rows, repository
from agentmem.features.organizations.model import TOP_ROLES, Standing, limits_of, may_give
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.authorization.platform import platform_id
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.system import SystemPurpose, SystemTransaction
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import OrganizationId, uuid7
from agentmem.kit.paging import decode_id, query_fingerprint
from agentmem.operations import operation, system_operation
from agentmem.schemas.access import Role
from agentmem.schemas.memories import Page, page_by_id
from agentmem.schemas.organizations import Member, MemberPatch, NewMember

_PAGES: Final = query_fingerprint("members")


@dataclass(frozen=True, kw_only=True)
class MemberService:
    """Operations on the members of the caller's organization."""

    database: Database

    @operation(Permission.MEMBER_READ, read_only=True)
    async def page(self, tx: Transaction, cursor: str | None = None, limit: int = 100) -> Page[Member]:
        """Read a page of members, those made first before the others; raises :class:`InvalidCursor`."""
        found = await member_rows.fetch_page(tx, decode_id(cursor, _PAGES), limit + 1)
        return page_by_id(found, limit, _PAGES)

    @operation(Permission.MEMBER_READ, read_only=True)
    async def get(self, tx: Transaction, member_id: UUID) -> Member:
        """Read one member; raises :class:`NotFound`."""
        return await member_rows.fetch_member(tx, member_id)

    @operation(Permission.MEMBER_WRITE, audit="member.created")
    async def create(self, tx: Transaction, new: NewMember) -> Member:
        """Make a member; only an owner makes an owner."""
        may_give(tx.caller, new.role)
        member_id = uuid7()
        await member_rows.insert_member(tx, member_id, new)
        tx.touch([member_id])
        return await member_rows.fetch_member(tx, member_id)

    @operation(Permission.MEMBER_WRITE, audit="member.created")
    async def ensure_owner(self, tx: Transaction, name: str, role: Role | None = None) -> UUID:
        """Make the organization's first owner unless it is there, and give its id; the platform's is an operator."""
        role = role or (Role.OPERATOR if tx.organization_id == platform_id() else Role.OWNER)
        may_give(tx.caller, role)
        member_id = uuid5(tx.organization_id, role.value)
        if await member_rows.insert_member(tx, member_id, NewMember(name=name, role=role)):
            tx.touch([member_id])
        return member_id

    @operation(Permission.MEMBER_WRITE, audit="member.updated")
    async def update(
        self, tx: Transaction, member_id: UUID, patch: MemberPatch, if_version: int | None = None
    ) -> Member:
        """Change a member's name or role, or disable it; raises :class:`Conflict` for the last owner.

        What its keys may do changes with it, within a second.
        """
        await member_rows.hold_members(tx)
        member = await member_rows.fetch_member(tx, member_id)
        tx.touch([member_id])
        role = member.role if patch.role is None else patch.role
        may_give(tx.caller, member.role)
        may_give(tx.caller, role)
        disabled_at = member.disabled_at
        if patch.disabled is not None:
            disabled_at = (member.disabled_at or tx.now) if patch.disabled else None
        if role is not member.role or disabled_at is not None:
            await keep_one(tx, member)
        values = {"name": patch.name or member.name, "role": role.value, "disabled_at": disabled_at}
        return await member_rows.change_member(tx, member, values, if_version)

    @operation(Permission.MEMBER_WRITE, audit="member.disabled")
    async def disable(self, tx: Transaction, member_id: UUID, if_version: int | None = None) -> Member:
        """Disable a member: its keys and those it made work no more; raises :class:`Conflict` for the last owner."""
        await member_rows.hold_members(tx)
        member = await member_rows.fetch_member(tx, member_id)
        tx.touch([member_id])
        may_give(tx.caller, member.role)
        if member.disabled_at is not None:
            return member
        await keep_one(tx, member)
        return await member_rows.change_member(tx, member, {"disabled_at": tx.now}, if_version)

    @system_operation(SystemPurpose.SWEEP, read_only=True)
    async def owners(self, tx: SystemTransaction, organization_id: OrganizationId) -> list[UUID]:
        """Name the enabled members who rule an organization: its owners, or the platform's operators."""
        await tx.bind(organization_id)
        return await member_rows.fetch_enabled(tx, TOP_ROLES)

    @system_operation(SystemPurpose.AUTHENTICATE, read_only=True)
    async def standing(
        self, tx: SystemTransaction, organization_id: OrganizationId, member_ids: Sequence[UUID]
    ) -> Standing:
        """Read what authentication asks of an organization and of these members; raises :class:`NotFound`."""
        await tx.bind(organization_id)
        found = await repository.fetch_organization(tx, organization_id)
        return Standing(
            organization_id=organization_id,
            status=found.status,
            limits=limits_of(found.limits),
            require_if_match=found.require_if_match,
            max_key_days=found.max_key_days,
            unused_key_days=found.unused_key_days,
            members=await member_rows.fetch_standings(tx, member_ids),
        )


async def keep_one(tx: Transaction, member: Member) -> None:
    """Raise :class:`Conflict` for the last enabled member of a role that an organization cannot do without."""
    if member.role not in TOP_ROLES or member.disabled_at is not None:
        return
    if await member_rows.count_enabled(tx, member.role) == 1:
        raise Conflict(
            f"Member {member.id} is the last enabled {member.role.value}.",
            hint=f"Make another {member.role.value} first.",
        )
