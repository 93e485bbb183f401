"""Operations on sessions and their refresh tokens; the rows are the platform's organization's, as accounts are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

from agentmem.errors import PermissionDenied, TooManySessions
from agentmem.features.identity.sessions import repository
from agentmem.features.identity.sessions.model import (
    TOUCH_AFTER,
    Family,
    Opening,
    StoredSession,
    Verdict,
    holds,
    judge,
)
from agentmem.features.identity.sessions.refresh_token import RefreshToken, new_refresh_token
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.authorization.platform import platform_id
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.system import SystemPurpose, SystemTransaction
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.ledger.audit import Outcome, origin_of, write_audit_entry
from agentmem.kit.ids import AccountId, SessionId, uuid7
from agentmem.operations import operation, system_operation
from agentmem.schemas.policies import AtCap, SessionPolicy
from agentmem.schemas.sessions import Session

REUSED: Final = "a refresh token was used a second time"
EVICTED: Final = "more sessions than the account may have"
REPLACED: Final = "signed in again"
SIGNED_OUT: Final = "signed out"
KEPT_AFTER_END: Final = timedelta(days=1)
"""How long the rows of what is over stay, so that an old token is still recognised."""
_SWEPT_AT_ONCE: Final = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A session that was opened, or goes on: its row, and the refresh token that its holder has from now on."""

    session: StoredSession
    refresh: RefreshToken = field(repr=False)
    ended: Sequence[UUID] = ()
    """Sessions that ended for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refreshed:
    """What became of a refresh token; ``opened`` is there where it was good."""

    verdict: Verdict
    session_id: SessionId
    opened: Opened | None = None


@dataclass(frozen=True, kw_only=True)
class SessionService:
    """Operations on sessions: of the caller's own account, or for whoever manages accounts."""

    database: Database

    @operation(Permission.ACCOUNT_USE, audit="session.opened")
    async def open(self, tx: Transaction, opening: Opening, policy: SessionPolicy) -> Opened:
        """Open a session; one that it replaces ends.

        The oldest of too many end, or :class:`TooManySessions` is raised. One transaction at a time decides it.
        """
        account_id = _account(tx)
        await repository.hold_account(tx, account_id)
        ended: list[UUID] = []
        if opening.replaces is not None:
            ended += await repository.end_sessions(tx, account_id, [opening.replaces], REPLACED)
        if policy.at_cap is not AtCap.UNLIMITED:
            there = [session.id for session in await repository.fetch_open(tx, account_id)]
            surplus = there[: max(0, len(there) + 1 - policy.max_sessions)]
            if surplus and policy.at_cap is AtCap.DENY_NEW:
                raise TooManySessions(f"The account has {len(there)} sessions.", hint="End one of them first.")
            ended += await repository.end_sessions(tx, account_id, surplus, EVICTED)
        session_id, family_id = SessionId(uuid7()), uuid7()
        await repository.insert_session(tx, session_id, account_id, opening, policy)
        session, token = await _stored(tx, session_id), new_refresh_token(family_id)
        mac = tx.keys.index.credential_mac(token.text)
        await repository.insert_family(tx, family_id, session, mac, policy)
        tx.touch([session_id, *ended])
        return Opened(session=session, refresh=token, ended=ended)

    @operation(Permission.ACCOUNT_USE)
    async def refresh(self, tx: Transaction, token: RefreshToken) -> Refreshed | None:
        """Judge a refresh token: give the next one, or end the session where a token comes a second time.

        ``None`` while another transaction holds the family. What is decided is committed, and its entry in the trail
        names it: the answer may be an error all the same.
        """
        family = await repository.take_family(tx, token.family_id)
        if family is None or family.account_id != tx.caller.account_id:
            return None
        verdict = judge(family, tx.keys.index.credential_mac(token.text), tx.now)
        session = await _stored(tx, family.session_id)
        if verdict is Verdict.REUSED:
            await repository.end_sessions(tx, family.account_id, [family.session_id], REUSED)
            await _note(tx, "session.reuse_detected", family)
        if verdict in {Verdict.REUSED, Verdict.ENDED} or not session.is_good_at(tx.now):
            return Refreshed(verdict=verdict, session_id=family.session_id)
        new = new_refresh_token(family.family_id)
        mac = tx.keys.index.credential_mac(new.text)
        await repository.rotate_family(tx, family, mac, keep_previous=verdict is Verdict.REISSUE)
        await _note(tx, "session.refreshed", family)
        return Refreshed(verdict=verdict, session_id=family.session_id, opened=Opened(session=session, refresh=new))

    @operation(Permission.ACCOUNT_USE, read_only=True)
    async def own(self, tx: Transaction) -> list[Session]:
        """Read the open sessions of the caller's account, those opened first before the others."""
        return await repository.fetch_open(tx, _account(tx))

    @operation(Permission.ACCOUNT_USE, audit="session.ended")
    async def end_own(self, tx: Transaction, session_id: UUID, reason: str = SIGNED_OUT) -> list[UUID]:
        """End a session of the caller's account; raises :class:`NotFound` unless it is open."""
        return await _end(tx, _account(tx), session_id, reason)

    @operation(Permission.ACCOUNT_USE, audit="session.ended")
    async def end_if_open(self, tx: Transaction, session_id: UUID, reason: str) -> list[UUID]:
        """End a session of the caller's account if it is open, and name it then."""
        ended = await repository.end_sessions(tx, _account(tx), [session_id], reason)
        tx.touch(ended)
        return ended

    @operation(Permission.ACCOUNT_USE, audit="session.ended")
    async def end_by_token(self, tx: Transaction, token: RefreshToken) -> list[UUID]:
        """End the session of a refresh token that is the current one or the one before, and name it then."""
        found = await repository.fetch_family(tx, token.family_id)
        mac = tx.keys.index.credential_mac(token.text)
        if found is None or found.account_id != _account(tx) or not holds(found, mac):
            return []
        ended = await repository.end_sessions(tx, found.account_id, [found.session_id], SIGNED_OUT)
        tx.touch(ended)
        return ended

    @operation(Permission.ACCOUNT_USE, audit="session.ended")
    async def end_others(self, tx: Transaction, reason: str = SIGNED_OUT) -> list[UUID]:
        """End all sessions of the caller's account but the one that asks, and name them."""
        account_id = _account(tx)
        await repository.hold_account(tx, account_id)
        others = [found.id for found in await repository.fetch_open(tx, account_id) if not found.current]
        ended = await repository.end_sessions(tx, account_id, others, reason)
        tx.touch(ended)
        return ended

    @operation(Permission.ACCOUNT_MANAGE, read_only=True)
    async def of_account(self, tx: Transaction, account_id: AccountId) -> list[Session]:
        """Read the open sessions of an account, those opened first before the others."""
        return await repository.fetch_open(tx, account_id)

    @operation(Permission.ACCOUNT_MANAGE, audit="session.ended")
    async def end_of_account(
        self, tx: Transaction, account_id: AccountId, session_id: UUID | None, reason: str
    ) -> list[UUID]:
        """End a session of an account, or all of them, and name them; raises :class:`NotFound` for one not open."""
        if session_id is not None:
            return await _end(tx, account_id, session_id, reason)
        ended = await end_all(tx, account_id, reason)
        tx.touch([account_id, *ended])
        return ended

    @system_operation(SystemPurpose.AUTHENTICATE, read_only=True)
    async def find(self, tx: SystemTransaction, session_id: SessionId) -> StoredSession | None:
        """Look up a session, whether it has ended or not."""
        await tx.bind(platform_id())
        return await repository.fetch_stored(tx, session_id)

    @system_operation(SystemPurpose.AUTHENTICATE, read_only=True)
    async def account_of_family(self, tx: SystemTransaction, family_id: UUID) -> AccountId | None:
        """Look up whose the refresh tokens of a family are; nobody's if it is unknown."""
        await tx.bind(platform_id())
        return await repository.find_account(tx, family_id)

    @system_operation(SystemPurpose.AUTHENTICATE)
    async def touch(self, tx: SystemTransaction, session_id: SessionId) -> None:
        """Note that a session is used, at most once a minute."""
        await tx.bind(platform_id())
        await repository.touch_session(tx, session_id, tx.now - TOUCH_AFTER)

    @system_operation(SystemPurpose.SWEEP)
    async def sweep(self, tx: SystemTransaction) -> int:
        """Remove up to 1,000 sessions that have been over for a day, and say how many."""
        await tx.bind(platform_id())
        return await repository.forget_over(tx, tx.now - KEPT_AFTER_END, _SWEPT_AT_ONCE)


async def end_all(tx: Transaction, account_id: AccountId, reason: str) -> list[UUID]:
    """End all sessions of an account, in the transaction that changes what they were opened by, and name them."""
    await repository.hold_account(tx, account_id)
    return await repository.end_sessions(tx, account_id, None, reason)


def _account(tx: Transaction) -> AccountId:
    if tx.caller.account_id is None:
        raise PermissionDenied("Only a person who has signed in has sessions.", hint="Sign in, and try again.")
    return tx.caller.account_id


async def _stored(tx: Transaction, session_id: SessionId) -> StoredSession:
    found = await repository.fetch_stored(tx, session_id)
    if found is None:
        raise repository.no_session(session_id)
    return found


async def _end(tx: Transaction, account_id: AccountId, session_id: UUID, reason: str) -> list[UUID]:
    ended = await repository.end_sessions(tx, account_id, [session_id], reason)
    if not ended:
        raise repository.no_session(session_id)
    tx.touch(ended)
    return ended


async def _note(tx: Transaction, action: str, family: Family) -> None:
    tx.touch([family.account_id, family.session_id])
    await write_audit_entry(tx, action, Outcome.DONE, origin_of(tx.caller))
