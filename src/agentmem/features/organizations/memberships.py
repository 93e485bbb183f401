"""Operations that tie accounts to members of the caller's organization."""

from __future__ import annotations

from dataclasses import dataclass

from agentmem.features.organizations import invitation_rows, member_rows
from agentmem.features.organizations.members import keep_one
from agentmem.features.organizations.model import Membership, may_give
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.system import SystemPurpose, SystemTransaction
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import AccountId, uuid7
from agentmem.operations import operation, system_operation
from agentmem.schemas.organizations import Member, NewMember


@dataclass(frozen=True, kw_only=True)
class MembershipService:
    """Operations that tie accounts to members of the caller's organization."""

    database: Database

    @operation(Permission.MEMBER_WRITE, audit="member.created")
    async def join(self, tx: Transaction, new: NewMember, account_id: AccountId) -> Member:
        """Make an account a member; only an owner makes an owner. Raises :class:`Conflict` if it is one already."""
        may_give(tx.caller, new.role)
        member_id = uuid7()
        await invitation_rows.tie_member(tx, account_id, member_id)
        await member_rows.insert_member(tx, member_id, new, account_id)
        tx.touch([member_id])
        return await member_rows.fetch_member(tx, member_id)

    @operation(Permission.ACCOUNT_USE, audit="member.disabled")
    async def leave(self, tx: Transaction, account_id: AccountId) -> None:
        """Disable the member that an account is, and untie it; raises :class:`Conflict` for the last owner."""
        await member_rows.hold_members(tx)
        member_id = await invitation_rows.untie_member(tx, account_id)
        if member_id is None:
            return
        tx.touch([member_id])
        member = await member_rows.fetch_member(tx, member_id)
        if member.disabled_at is None:
            await keep_one(tx, member)
            await member_rows.change_member(tx, member, {"disabled_at": tx.now}, None)

    @system_operation(SystemPurpose.AUTHENTICATE, read_only=True)
    async def of_account(self, tx: SystemTransaction, account_id: AccountId) -> list[Membership]:
        """Look up where an account is a member, whether it is disabled there or not."""
        return await invitation_rows.find_memberships(tx, account_id)
