"""All SQL about members."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from agentmem.errors import NotFound, VersionConflict
from agentmem.features.organizations.model import MemberStanding
from agentmem.features.organizations.tables import members
from agentmem.foundation.database.system import SystemTransaction
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import AccountId
from agentmem.kit.versions import require_version
from agentmem.schemas.access import Role
from agentmem.schemas.organizations import Member, MemberKind, NewMember

OF_ORGANIZATION: Final = "members of one organization"


async def insert_member(tx: Transaction, member_id: UUID, new: NewMember, account_id: AccountId | None = None) -> bool:
    """Write a member, and say whether it is new."""
    row = {
        "organization_id": tx.organization_id,
        "member_id": member_id,
        "name": new.name,
        "role": new.role.value,
        "kind": new.kind.value,
        "created_by": tx.caller.principal_id,
        "created_at": tx.now,
        "account_id": account_id,
        "version": 1,
    }
    written = await tx.execute(upsert(members).on_conflict_do_nothing().returning(members.c.member_id), row)
    return written.first() is not None


async def fetch_member(tx: Transaction, member_id: UUID) -> Member:
    """Read a member, or raise :class:`NotFound`."""
    row = (await tx.execute(select(members).where(tx.own(members), members.c.member_id == member_id))).first()
    if row is None:
        raise NotFound(f"There is no member {member_id}.")
    return _to_member(row)


async def fetch_page(tx: Transaction, after: UUID | None, limit: int) -> list[Member]:
    """Read up to ``limit`` members in the order of their ids."""
    statement = select(members).where(tx.own(members))
    if after is not None:
        statement = statement.where(members.c.member_id > after)
    return [_to_member(row) for row in await tx.execute(statement.order_by(members.c.member_id).limit(limit))]


async def change_member(
    tx: Transaction, member: Member, values: Mapping[str, object], if_version: int | None
) -> Member:
    """Change a member and count its version up; raises :class:`VersionConflict`."""
    require_version(f"Member {member.id}", member.version, if_version)
    statement = (
        update(members)
        .where(tx.own(members), members.c.member_id == member.id, members.c.version == member.version)
        .values({**values, "version": member.version + 1})
    )
    if (await tx.execute(statement)).rowcount != 1:
        raise VersionConflict(f"Member {member.id} has just been changed.", hint="Read it again, then decide.")
    return await fetch_member(tx, member.id)


async def hold_members(tx: Transaction) -> None:
    """Let one transaction at a time change members, so that two cannot each take away the other's last owner."""
    text = func.concat(str(tx.organization_id), " ", OF_ORGANIZATION)
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(text, 0))))


async def count_enabled(tx: Transaction, role: Role) -> int:
    """Count the enabled members of a role."""
    statement = (
        select(func.count())
        .select_from(members)
        .where(tx.own(members), members.c.role == role.value, members.c.disabled_at.is_(None))
    )
    return int((await tx.execute(statement)).scalar_one())


async def fetch_enabled(tx: SystemTransaction, roles: Iterable[Role]) -> list[UUID]:
    """Read the ids of the enabled members of these roles."""
    statement = select(members.c.member_id).where(
        tx.own(members), members.c.role.in_([role.value for role in roles]), members.c.disabled_at.is_(None)
    )
    return list((await tx.execute(statement)).scalars())


async def fetch_standings(tx: SystemTransaction, member_ids: Sequence[UUID]) -> dict[UUID, MemberStanding]:
    """Read what authentication asks of these members; those that are not there are left out."""
    statement = select(members.c.member_id, members.c.role, members.c.disabled_at).where(
        tx.own(members), members.c.member_id.in_(member_ids)
    )
    return {
        row.member_id: MemberStanding(role=Role(row.role), enabled=row.disabled_at is None)
        for row in await tx.execute(statement)
    }


def _to_member(row: Row[Any]) -> Member:
    """Map a row to the view of it."""
    return Member(
        id=row.member_id,
        name=row.name,
        role=Role(row.role),
        kind=MemberKind(row.kind),
        created_by=row.created_by,
        created_at=row.created_at,
        disabled_at=row.disabled_at,
        account_id=row.account_id,
        version=row.version,
    )
