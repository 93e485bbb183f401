"""All SQL about sessions and their refresh tokens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from agentmem.errors import NotFound
from agentmem.features.identity.accounts.tables import accounts
from agentmem.features.identity.sessions.model import Device, Family, Opening, StoredSession
from agentmem.features.identity.sessions.tables import account_sessions, refresh_families
from agentmem.foundation.database.system import SystemTransaction
from agentmem.foundation.database.transaction import Statements, Transaction
from agentmem.kit.ids import AccountId, OrganizationId, SessionId
from agentmem.schemas.policies import SessionPolicy
from agentmem.schemas.sessions import Session

SESSIONS: Final = account_sessions
FAMILIES: Final = refresh_families
_SEALED_VERSION: Final = 0
"""A session's device is sealed once, and never again."""


async def hold_account(tx: Transaction, account_id: AccountId) -> None:
    """Let one transaction at a time open sessions of an account, so that its cap is one for all servers."""
    text = func.concat(str(account_id), " sessions of one account")
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(text, 0))))


async def insert_session(
    tx: Transaction, session_id: SessionId, account_id: AccountId, opening: Opening, policy: SessionPolicy
) -> None:
    """Write a session that begins now; raises :class:`NotFound` unless its account is there."""
    device = tx.keys.keyring.sealer(SESSIONS.name, "device")
    row = {
        "organization_id": tx.organization_id,
        "session_id": session_id,
        "account_id": account_id,
        "acting_organization_id": opening.organization_id,
        "member_id": opening.member_id,
        "methods": list(opening.methods),
        "level": opening.level,
        "device": device(session_id, _SEALED_VERSION, json.dumps(asdict(opening.device)).encode()),
        "authenticated_at": tx.now,
        "last_seen_at": tx.now,
        "idle_seconds": policy.idle_seconds,
        "expires_at": tx.now + timedelta(seconds=policy.absolute_seconds),
    }
    try:
        await tx.execute(insert(SESSIONS), row)
    except IntegrityError:
        raise NotFound(f"There is no account {account_id}.") from None


async def insert_family(
    tx: Transaction, family_id: UUID, session: StoredSession, mac: bytes, policy: SessionPolicy
) -> None:
    """Write the first refresh token of a session."""
    row = {
        "organization_id": tx.organization_id,
        "family_id": family_id,
        "session_id": session.session_id,
        "account_id": session.account_id,
        "current_mac": mac,
        "rotated_at": tx.now,
        "generation": 1,
        "grace_seconds": policy.refresh_grace_seconds,
        "idle_seconds": policy.idle_seconds,
        "idle_until": tx.now + session.idle,
        "expires_at": session.expires_at,
    }
    await tx.execute(insert(FAMILIES), row)


def _open_at(tx: Statements, moment: datetime) -> ColumnElement[bool]:
    idle = func.make_interval(0, 0, 0, 0, 0, 0, SESSIONS.c.idle_seconds)
    left = SESSIONS.c.last_seen_at + idle > moment
    return and_(tx.own(SESSIONS), SESSIONS.c.ended_at.is_(None), SESSIONS.c.expires_at > moment, left)


async def fetch_open(tx: Transaction, account_id: AccountId) -> list[Session]:
    """Read the sessions of an account that are good now, those opened first before the others."""
    statement = select(SESSIONS).where(_open_at(tx, tx.now), SESSIONS.c.account_id == account_id)
    rows = (await tx.execute(statement.order_by(SESSIONS.c.session_id))).all()
    await tx.ring.unlock(row.device for row in rows)
    opener = tx.ring.opener(SESSIONS.name, "device")
    found = []
    for row in rows:
        device = Device(**json.loads(opener(row.session_id, _SEALED_VERSION, bytes(row.device))))
        found.append(_to_session(row, device, current=row.session_id == tx.caller.session_id))
    return found


async def fetch_stored(tx: Statements, session_id: SessionId) -> StoredSession | None:
    """Read a session as authentication needs it; ``None`` if there is none.

    One of an account that is disabled, or whose password changed since, has ended whatever its row says.
    """
    whose = and_(
        accounts.c.organization_id == SESSIONS.c.organization_id, accounts.c.account_id == SESSIONS.c.account_id
    )
    void = or_(accounts.c.disabled_at.is_not(None), accounts.c.valid_after > SESSIONS.c.authenticated_at)
    statement = (
        select(SESSIONS, or_(void, SESSIONS.c.ended_at.is_not(None)).label("ended"))
        .join(accounts, whose)
        .where(tx.own(SESSIONS), SESSIONS.c.session_id == session_id)
    )
    row = (await tx.execute(statement)).first()
    return None if row is None else _to_stored(row)


async def end_sessions(tx: Transaction, account_id: AccountId, only: Sequence[UUID] | None, reason: str) -> list[UUID]:
    """End sessions of an account with their refresh tokens, all of them unless some are named, and say which.

    Those that have ended before are left as they are.
    """
    live = (tx.own(SESSIONS), SESSIONS.c.account_id == account_id, SESSIONS.c.ended_at.is_(None))
    statement = update(SESSIONS).where(*live).values(ended_at=tx.now, end_reason=reason)
    if only is not None:
        statement = statement.where(SESSIONS.c.session_id.in_(only))
    ended = list((await tx.execute(statement.returning(SESSIONS.c.session_id))).scalars())
    of_them = (tx.own(FAMILIES), FAMILIES.c.session_id.in_(ended), FAMILIES.c.ended_at.is_(None))
    await tx.execute(update(FAMILIES).where(*of_them).values(ended_at=tx.now, end_reason=reason))
    return ended


async def touch_session(tx: SystemTransaction, session_id: SessionId, before: datetime) -> None:
    """Note that a session is used, unless that was noted after a moment."""
    due = (tx.own(SESSIONS), SESSIONS.c.session_id == session_id, SESSIONS.c.last_seen_at < before)
    await tx.execute(update(SESSIONS).where(*due).values(last_seen_at=tx.now))


async def forget_over(tx: SystemTransaction, before: datetime, limit: int) -> int:
    """Remove up to ``limit`` sessions that ended, or whose time was over, before a moment; say how many."""
    over = or_(SESSIONS.c.expires_at < before, SESSIONS.c.ended_at < before)
    old = select(SESSIONS.c.session_id).where(tx.own(SESSIONS), over).limit(limit)
    return (await tx.execute(delete(SESSIONS).where(tx.own(SESSIONS), SESSIONS.c.session_id.in_(old)))).rowcount


async def find_account(tx: SystemTransaction, family_id: UUID) -> AccountId | None:
    """Look up whose a family is; nobody's if it is unknown."""
    statement = select(FAMILIES.c.account_id).where(tx.own(FAMILIES), FAMILIES.c.family_id == family_id)
    found = (await tx.execute(statement)).scalar()
    return None if found is None else AccountId(found)


async def fetch_family(tx: Transaction, family_id: UUID) -> Family | None:
    """Read a family as it stands; ``None`` if there is none."""
    statement = select(FAMILIES).where(tx.own(FAMILIES), FAMILIES.c.family_id == family_id)
    row = (await tx.execute(statement)).first()
    return None if row is None else _to_family(row)


async def take_family(tx: Transaction, family_id: UUID) -> Family | None:
    """Read a family and hold it with its session; ``None`` while another transaction holds one of them.

    Whoever ends sessions takes the session's row first, so that nobody may wait here.
    """
    both = and_(
        SESSIONS.c.organization_id == FAMILIES.c.organization_id, SESSIONS.c.session_id == FAMILIES.c.session_id
    )
    statement = select(FAMILIES).join(SESSIONS, both).where(tx.own(FAMILIES), FAMILIES.c.family_id == family_id)
    row = (await tx.execute(statement.with_for_update(skip_locked=True, of=[SESSIONS, FAMILIES]))).first()
    return None if row is None else _to_family(row)


async def rotate_family(tx: Transaction, family: Family, mac: bytes, *, keep_previous: bool) -> None:
    """Give a family, which is held, a new current token; the one before and its moment stay where that is said."""
    values: dict[str, object] = {"current_mac": mac, "generation": family.generation + 1}
    values["idle_until"] = min(tx.now + family.idle, family.expires_at)
    if not keep_previous:
        values |= {"previous_mac": family.current_mac, "rotated_at": tx.now}
    statement = update(FAMILIES).where(tx.own(FAMILIES), FAMILIES.c.family_id == family.family_id)
    await tx.execute(statement.values(**values))
    seen = update(SESSIONS).where(tx.own(SESSIONS), SESSIONS.c.session_id == family.session_id)
    await tx.execute(seen.values(last_seen_at=tx.now))


def no_session(session_id: UUID) -> NotFound:
    """Make the error for a session that is not there, has ended, or is somebody else's."""
    return NotFound(f"There is no session {session_id}.")


def _to_session(row: Row[Any], device: Device, *, current: bool) -> Session:
    idle_until = min(row.last_seen_at + timedelta(seconds=row.idle_seconds), row.expires_at)
    return Session(
        id=row.session_id,
        account_id=row.account_id,
        organization_id=row.acting_organization_id,
        member_id=row.member_id,
        current=current,
        methods=row.methods,
        level=row.level,
        address=device.address,
        agent=device.agent,
        authenticated_at=row.authenticated_at,
        last_seen_at=row.last_seen_at,
        idle_until=idle_until,
        expires_at=row.expires_at,
    )


def _to_stored(row: Row[Any]) -> StoredSession:
    return StoredSession(
        session_id=SessionId(row.session_id),
        account_id=AccountId(row.account_id),
        organization_id=OrganizationId(row.acting_organization_id),
        member_id=row.member_id,
        methods=tuple(row.methods),
        level=row.level,
        authenticated_at=row.authenticated_at,
        last_seen_at=row.last_seen_at,
        idle=timedelta(seconds=row.idle_seconds),
        expires_at=row.expires_at,
        ended=row.ended,
    )


def _to_family(row: Row[Any]) -> Family:
    return Family(
        family_id=row.family_id,
        session_id=SessionId(row.session_id),
        account_id=AccountId(row.account_id),
        current_mac=bytes(row.current_mac),
        previous_mac=None if row.previous_mac is None else bytes(row.previous_mac),
        rotated_at=row.rotated_at,
        generation=row.generation,
        grace=timedelta(seconds=row.grace_seconds),
        idle=timedelta(seconds=row.idle_seconds),
        idle_until=row.idle_until,
        expires_at=row.expires_at,
        ended=row.ended_at is not None,
    )
