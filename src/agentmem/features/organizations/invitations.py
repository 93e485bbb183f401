"""Operations on invitations to the caller's organization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from agentmem.errors import NotFound, PermissionDenied
from agentmem.features.organizations import invitation_rows, member_rows
from agentmem.features.organizations.model import Invited, may_give
from agentmem.features.organizations.work import INVITE
from agentmem.foundation.authorization.caller import LOCAL, Permission
from agentmem.foundation.authorization.platform import platform_id
from agentmem.foundation.authorization.roles import ROLES
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.jobs.queue import enqueue
from agentmem.kit.ids import AccountId, PrincipalId, uuid7
from agentmem.kit.paging import decode_id, query_fingerprint
from agentmem.kit.secret_text import new_secret_text
from agentmem.operations import operation
from agentmem.schemas.access import Role
from agentmem.schemas.invitations import Invitation
from agentmem.schemas.memories import Page, page_by_id
from agentmem.schemas.organizations import Member, MemberKind, NewMember

_PAGES: Final = query_fingerprint("invitations")
_MEMBER: Final = "member:"


@dataclass(frozen=True, kw_only=True)
class InvitationService:
    """Operations on invitations to the caller's organization."""

    database: Database

    @operation(Permission.MEMBER_WRITE, audit="invitation.created")
    async def create(self, tx: Transaction, email: str, role: Role, days: int) -> Invitation:
        """Invite somebody by a mail; only an owner invites an owner."""
        may_give(tx.caller, role)
        invitation_id = uuid7()
        tx.touch([invitation_id])
        invitation = await invitation_rows.insert_invitation(tx, invitation_id, email, role, days)
        await enqueue(tx, INVITE, {"invitation_id": str(invitation_id)})
        return invitation

    @operation(Permission.MEMBER_READ, read_only=True)
    async def page(self, tx: Transaction, cursor: str | None = None, limit: int = 100) -> Page[Invitation]:
        """Read a page of invitations that nobody has accepted yet, the oldest first; raises :class:`InvalidCursor`."""
        found = await invitation_rows.fetch_invitations(tx, decode_id(cursor, _PAGES), limit + 1)
        return page_by_id(found, limit, _PAGES)

    @operation(Permission.MEMBER_WRITE, audit="invitation.revoked")
    async def revoke(self, tx: Transaction, invitation_id: UUID) -> None:
        """Take an invitation back; raises :class:`NotFound` for one that is not there any more."""
        invitation = await invitation_rows.fetch_invitation(tx, invitation_id)
        may_give(tx.caller, invitation.role)
        await invitation_rows.remove_invitation(tx, invitation_id)
        tx.touch([invitation_id])

    @operation(Permission.MEMBER_WRITE, audit="invitation.mailed")
    async def prepare(self, tx: Transaction, invitation_id: UUID) -> tuple[Invitation, str]:
        """Make the secret of an invitation that is about to be sent; one that was sent before works no more."""
        invitation = await invitation_rows.fetch_invitation(tx, invitation_id)
        secret = new_secret_text(invitation_rows.PREFIX, [tx.organization_id, invitation_id])
        await invitation_rows.keep_invitation_code(tx, invitation_id, secret)
        tx.touch([invitation_id])
        return invitation, secret

    @operation(Permission.ACCOUNT_USE, read_only=True)
    async def read(self, tx: Transaction, secret: str) -> Invited:
        """Give the invitation whose secret this is; raises :class:`NotFound` for one that does not work."""
        return await invitation_rows.read_invited(tx, secret)

    @operation(Permission.ACCOUNT_USE, audit="invitation.accepted")
    async def accept(self, tx: Transaction, secret: str, account_id: AccountId, name: str) -> Member:
        """Make an account a member, as the invitation says; raises :class:`NotFound` for one that does not work.

        Whoever has invited must still be allowed to: raises :class:`PermissionDenied`.
        """
        invited = await invitation_rows.read_invited(tx, secret)
        await _require_inviter(tx, invited.invited_by, invited.role)
        if not await invitation_rows.remove_invitation(tx, invited.invitation_id):
            raise invitation_rows.not_valid()
        member_id = uuid7()
        tx.touch([invited.invitation_id, member_id])
        new = NewMember(name=name, role=invited.role, kind=MemberKind.PERSON)
        await invitation_rows.tie_member(tx, account_id, member_id)
        await member_rows.insert_member(tx, member_id, new, account_id)
        return await member_rows.fetch_member(tx, member_id)


async def _require_inviter(tx: Transaction, principal: PrincipalId, role: Role) -> None:
    """Raise :class:`PermissionDenied` unless whoever invited may still make members of the role."""
    if principal == LOCAL or (principal.startswith("operator:") and role is not Role.OPERATOR):
        return
    try:
        inviter = await member_rows.fetch_member(tx, UUID(principal.removeprefix(_MEMBER)))
    except (NotFound, ValueError):
        raise _not_theirs() from None
    may = ROLES[inviter.role]
    wide = Permission.ORGANIZATION_DELETE in may or role is not Role.OWNER
    operates = role is not Role.OPERATOR or (tx.organization_id == platform_id() and inviter.role is Role.OPERATOR)
    if inviter.disabled_at is not None or Permission.MEMBER_WRITE not in may or not wide or not operates:
        raise _not_theirs()


def _not_theirs() -> PermissionDenied:
    return PermissionDenied("Whoever sent the invitation may not invite any more.", hint="Ask for another one.")
