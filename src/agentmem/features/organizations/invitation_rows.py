"""All SQL about invitations, and about where accounts are members."""

from __future__ import annotations

import hmac
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, insert, select, update

from agentmem.errors import Conflict, NotFound
from agentmem.features.organizations.model import Invited, Membership
from agentmem.features.organizations.tables import account_memberships, invitations, members
from agentmem.foundation.database.system import SystemTransaction
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.encryption.seal import Location
from agentmem.kit.ids import AccountId, OrganizationId, PrincipalId
from agentmem.kit.secret_text import ids_of
from agentmem.schemas.access import Role
from agentmem.schemas.invitations import Invitation

PREFIX = "ami"
_ROW_VERSION = 1


async def insert_invitation(tx: Transaction, invitation_id: UUID, email: str, role: Role, days: int) -> Invitation:
    """Write an invitation."""
    row = {
        "organization_id": tx.organization_id,
        "invitation_id": invitation_id,
        "role": role.value,
        "sealed": tx.keys.keyring.sealer(invitations.name, "sealed")(invitation_id, _ROW_VERSION, email.encode()),
        "invited_by": tx.caller.principal_id,
        "created_at": tx.now,
        "expires_at": tx.now + timedelta(days=days),
    }
    await tx.execute(insert(invitations), row)
    return await fetch_invitation(tx, invitation_id)


async def fetch_invitation(tx: Transaction, invitation_id: UUID) -> Invitation:
    """Read an invitation that nobody has accepted, or raise :class:`NotFound`."""
    row = (await tx.execute(_of(tx).where(invitations.c.invitation_id == invitation_id))).first()
    if row is None:
        raise NotFound(f"There is no invitation {invitation_id}.")
    return await _to_invitation(tx, row)


async def fetch_invitations(tx: Transaction, after: UUID | None, limit: int) -> list[Invitation]:
    """Read up to ``limit`` invitations, the oldest first."""
    statement = _of(tx) if after is None else _of(tx).where(invitations.c.invitation_id > after)
    rows = await tx.execute(statement.order_by(invitations.c.invitation_id).limit(limit))
    return [await _to_invitation(tx, row) for row in rows]


async def remove_invitation(tx: Transaction, invitation_id: UUID) -> bool:
    """Take an invitation back, or note that it was accepted; tell whether it was there."""
    own = tx.own(invitations), invitations.c.invitation_id == invitation_id
    return (await tx.execute(delete(invitations).where(*own))).rowcount == 1


async def keep_invitation_code(tx: Transaction, invitation_id: UUID, secret: str) -> None:
    """Keep the code of an invitation's secret."""
    statement = update(invitations).where(tx.own(invitations), invitations.c.invitation_id == invitation_id)
    await tx.execute(statement.values(token_mac=tx.keys.index.credential_mac(secret)))


async def read_invited(tx: Transaction, secret: str) -> Invited:
    """Give the invitation whose secret this is; raises :class:`NotFound` for one that does not work."""
    ids = ids_of(PREFIX, secret, 2)
    row = None if ids is None else (await tx.execute(_of(tx).where(invitations.c.invitation_id == ids[1]))).first()
    code = b"" if row is None or row.token_mac is None else bytes(row.token_mac)
    if row is None or not hmac.compare_digest(code, tx.keys.index.credential_mac(secret)):
        raise not_valid()
    if row.expires_at <= tx.now:
        raise not_valid()
    return Invited(
        invitation_id=row.invitation_id,
        email=(await _to_invitation(tx, row)).email,
        role=Role(row.role),
        invited_by=PrincipalId(row.invited_by),
    )


async def tie_member(tx: Transaction, account_id: AccountId, member_id: UUID) -> None:
    """Note that an account is this member; raises :class:`Conflict` if it is one already."""
    own = tx.own(account_memberships), account_memberships.c.account_id == account_id
    if (await tx.execute(select(account_memberships.c.member_id).where(*own))).first() is not None:
        raise Conflict("The account is a member of the organization already.")
    row = {"account_id": account_id, "organization_id": tx.organization_id, "member_id": member_id}
    await tx.execute(insert(account_memberships), row)


async def untie_member(tx: Transaction, account_id: AccountId) -> UUID | None:
    """Note that an account is no member any more, and give which one it was."""
    own = tx.own(account_memberships), account_memberships.c.account_id == account_id
    gone = await tx.execute(delete(account_memberships).where(*own).returning(account_memberships.c.member_id))
    row = gone.first()
    if row is None:
        return None
    of_member = tx.own(members), members.c.member_id == row.member_id
    await tx.execute(update(members).where(*of_member).values(account_id=None))
    return UUID(str(row.member_id))


async def find_memberships(tx: SystemTransaction, account_id: AccountId) -> list[Membership]:
    """Look up where an account is a member."""
    statement = select(account_memberships).where(account_memberships.c.account_id == account_id)
    rows = await tx.execute(statement.order_by(account_memberships.c.organization_id))
    return [Membership(organization_id=OrganizationId(row.organization_id), member_id=row.member_id) for row in rows]


def not_valid() -> NotFound:
    """Make the error for a secret of no invitation that can be accepted."""
    return NotFound("The invitation is not valid: unknown, accepted or taken back already, or too old.")


def _of(tx: Transaction) -> Any:  # a statement of SQLAlchemy, whose type names its columns
    return select(invitations).where(tx.own(invitations))


async def _to_invitation(tx: Transaction, row: Row[Any]) -> Invitation:
    place = Location(table=invitations.name, column="sealed", row_id=row.invitation_id, row_version=_ROW_VERSION)
    return Invitation(
        id=row.invitation_id,
        email=(await tx.ring.opened(place, row.sealed)).decode(),
        role=Role(row.role),
        invited_by=row.invited_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
