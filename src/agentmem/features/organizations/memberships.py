"""Operations on where accounts are members: the registry holds ids alone."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from agentmem.features.organizations import member_rows
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.system import SystemPurpose, SystemTransaction
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import AccountId, OrganizationId
from agentmem.operations import operation, system_operation
from agentmem.schemas.organizations import Member


@dataclass(frozen=True, kw_only=True, slots=True)
class Membership:
    """That an account acts in an organization, and as which of its members."""

    organization_id: OrganizationId
    member_id: UUID


@dataclass(frozen=True, kw_only=True)
class MembershipService:
    """Operations that tie accounts to members."""

    database: Database

    @operation(Permission.MEMBER_WRITE, audit="member.linked")
    async def link(self, tx: Transaction, member_id: UUID, account_id: AccountId) -> Member:
        """Let an account act as a member of the caller's organization.

        Raises :class:`NotFound`, and :class:`Conflict` if the account is a member or the member is somebody's already.
        """
        member = await member_rows.fetch_member(tx, member_id)
        tx.touch([member_id, account_id])
        await member_rows.link_member(tx, member, account_id)
        return await member_rows.fetch_member(tx, member_id)

    @system_operation(SystemPurpose.AUTHENTICATE, read_only=True)
    async def of_account(self, tx: SystemTransaction, account_id: AccountId) -> list[Membership]:
        """Read where an account is a member, in the order of the organizations' ids."""
        found = await member_rows.fetch_memberships(tx, account_id)
        return [Membership(organization_id=where, member_id=member_id) for where, member_id in found]
