"""Signing in: from a proof of who somebody is, over a second factor where one is due, to a session and its tokens."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from time import monotonic
from typing import Final
from uuid import UUID
from weakref import WeakValueDictionary

import structlog

from agentmem.errors import InvalidGrant, NotFound, Overloaded, PermissionDenied, StateUnavailable, Unauthenticated
from agentmem.features.identity.accounts.verifying import PasswordCheck
from agentmem.features.identity.sessions.model import ENDED, SHARED_SECONDS, Opening, Verdict, copy_key
from agentmem.features.identity.sessions.refresh_token import RefreshToken, read_refresh_token
from agentmem.features.identity.sessions.service import Opened, Refreshed, SessionService
from agentmem.features.identity.signing.known import KnownKeys
from agentmem.features.organizations.members import MemberService
from agentmem.features.organizations.memberships import MembershipService
from agentmem.features.organizations.model import Membership
from agentmem.features.organizations.policies import PolicyService
from agentmem.foundation.authorization.caller import Caller, accounts_caller, own_account
from agentmem.foundation.authorization.platform import platform_id
from agentmem.foundation.state.port import State
from agentmem.foundation.telemetry.watchers import unheard
from agentmem.foundation.tokens.access import AccessClaims, Issuer, check_token, key_of_token, sign_token
from agentmem.kit.clock import Clock
from agentmem.kit.ids import AccountId, OrganizationId, SessionId, uuid7
from agentmem.pipelines.signing_in.aging import Aging
from agentmem.pipelines.signing_in.factors import PASSWORD, SSO, Factors, Proof, Where
from agentmem.schemas.access import Role
from agentmem.schemas.organizations import OrganizationStatus
from agentmem.schemas.policies import PolicyKind, SessionPolicy, SsoPolicy
from agentmem.schemas.sessions import ExpiredPassword, Session, SignIn, SignInOutcome, Tokens

REFRESH_SECONDS: Final = 5.0
"""How long a refresh whose turn it is waits for one of the same session on another server."""
_PAUSE: Final = (0.01, 0.03)
BY_OPERATOR: Final = "ended by an operator"
REVOKED: Final = "its token was revoked"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class SigningIn:
    """Opens sessions, refreshes their tokens, and ends them; every server hears of an end."""

    check: PasswordCheck
    memberships: MembershipService
    members: MemberService
    policies: PolicyService
    sessions: SessionService
    keys: KnownKeys
    issuer: Issuer
    state: State
    forget: Callable[[Iterable[str]], None]
    clock: Clock
    lasts: timedelta
    key_lasts: timedelta
    factors: Factors
    aging: Aging
    signed_in: Callable[[str], None] = unheard
    refreshed: Callable[[str], None] = unheard
    turns: WeakValueDictionary[UUID, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    async def sign_in(self, asked: SignIn, where: Where) -> SignInOutcome:
        """Sign in by password; raises :class:`Unauthenticated` with one message for every cause."""
        password = asked.password.get_secret_value()
        try:
            found = await self.check.verify(
                asked.email, password, asked.device, address=where.address, request_id=where.request_id
            )
        except (Unauthenticated, NotFound):
            # Before the first account there is no organization that accounts belong to, and nobody to find.
            self.signed_in("refused")
            raise Unauthenticated("The e-mail address or the password is wrong.") from None
        named = None if asked.organization_id is None else OrganizationId(asked.organization_id)
        answer = await self.proceed(found.account_id, named, (PASSWORD,), where)
        return answer.model_copy(update={"device": found.device}) if isinstance(answer, Tokens) else answer

    async def proceed(
        self, account_id: AccountId, organization_id: OrganizationId | None, methods: tuple[str, ...], where: Where
    ) -> SignInOutcome:
        """Go on with whoever has proved to be an account: ask for what is due besides, else open a session.

        Raises :class:`PermissionDenied` for an account that may act nowhere, or not in the organization it names.
        """
        proof = await self._proof(account_id, organization_id, methods)
        required = await self.factors.challenge(proof, where)
        if required is not None:
            self.signed_in("factor_required")
            return required
        expired = await self.aging.challenge(proof)
        if expired is not None:
            self.signed_in(expired.status)
            return expired
        return await self.open(proof, where)

    async def choose_password(self, chosen: ExpiredPassword, where: Where) -> SignInOutcome:
        """Go on with another password in place of one that is too old; raises as :meth:`Aging.answer`."""
        proved = await self.aging.answer(chosen, where.request_id)
        return await self.proceed(proved.account_id, proved.acting_in, proved.amr, where)

    async def open(self, proof: Proof, where: Where) -> Tokens:
        """Open a session for a proof that is whole; raises :class:`TooManySessions` where the policy says so."""
        opening = Opening(
            organization_id=proof.organization_id,
            member_id=proof.member_id,
            methods=proof.methods,
            level=proof.level,
            device=where.device,
            replaces=where.replaces,
        )
        (policy,) = await self.policies.of([proof.organization_id], PolicyKind.SESSIONS)
        if not isinstance(policy, SessionPolicy):
            raise TypeError("the policy of sessions is of another kind")
        async with self._turn(proof.account_id):
            opened = await self.sessions.open(_as(proof.account_id, where.request_id), opening, policy)
        await self.tell(opened.ended)
        self.signed_in("signed_in")
        return await self._tokens(opened)

    async def refresh(self, text: str, request_id: str | None = None) -> Tokens:
        """Give the next tokens of a session; raises :class:`InvalidGrant` with one message for every cause.

        A token that comes a second time ends its session, whatever the answer says.
        """
        token = read_refresh_token(text)
        account_id = None if token is None else await self._account_of(token)
        if token is None or account_id is None:
            self.refreshed("unknown")
            raise _no_grant()
        outcome = await self._refresh(_as(account_id, request_id), token)
        self.refreshed(outcome.verdict.value)
        if outcome.verdict is Verdict.REUSED:
            log.warning("refresh_token_reused", session=str(outcome.session_id), account=str(account_id))
            await self.tell([outcome.session_id])
        if outcome.opened is None:
            raise _no_grant()
        return await self._tokens(outcome.opened)

    async def revoke(self, text: str, request_id: str | None = None) -> None:
        """End the session of a token, if it is one (RFC 7009); nobody is told whether it was."""
        token = read_refresh_token(text)
        if token is not None:
            account_id = await self._account_of(token)
            if account_id is not None:
                await self.tell(await self.sessions.end_by_token(_as(account_id, request_id), token))
            return
        kid = key_of_token(text)
        key = None if kid is None else await self.keys.find(kid)
        claims = None if key is None else check_token(text, key, self.issuer, self.clock())
        if claims is not None:
            caller = _as(claims.account_id, request_id)
            await self.tell(await self.sessions.end_if_open(caller, claims.session_id, REVOKED))

    async def own(self, caller: Caller) -> list[Session]:
        """Read the open sessions of whoever has signed in."""
        return await self.sessions.own(own_account(caller))

    async def end_own(self, caller: Caller, session_id: UUID) -> None:
        """End one session of whoever has signed in; raises :class:`NotFound` unless it is open."""
        await self.tell(await self.sessions.end_own(own_account(caller), session_id))

    async def end_others(self, caller: Caller) -> int:
        """End all sessions of whoever has signed in but the one that asks, and count them."""
        ended = await self.sessions.end_others(own_account(caller))
        await self.tell(ended)
        return len(ended)

    async def end_of_account(self, caller: Caller, account_id: AccountId, session_id: UUID | None = None) -> int:
        """End a session of an account, or all of them, and count them; for operators."""
        ended = await self.sessions.end_of_account(caller, account_id, session_id, BY_OPERATOR)
        await self.tell(ended)
        return len(ended)

    async def sweep(self, caller: Caller) -> None:
        """Remove sessions that are long over, and make the next key that signs when its time has come.

        Of the organizations that are visited, the platform's alone has them.
        """
        if caller.organization_id == platform_id():
            await self.sessions.sweep()
            if await self.keys.service.due(accounts_caller(), self.key_lasts):
                await self.keys.service.rotate_due(accounts_caller(), self.key_lasts)

    async def tell(self, ended: Iterable[UUID]) -> None:
        """Make this server, and then the others, look these sessions up anew."""
        names = {str(session_id): copy_key(session_id) for session_id in ended}
        if not names:
            return
        self.forget(names)
        try:
            for copy in names.values():
                await self.state.put(str(platform_id()), copy, b"", seconds=SHARED_SECONDS)
            await self.state.publish(ENDED, " ".join(names))
        except StateUnavailable as error:
            # The others believe what they know for less than a second longer.
            log.warning("end_of_session_not_told", code=error.code)

    async def _proof(
        self, account_id: AccountId, organization_id: OrganizationId | None, methods: tuple[str, ...]
    ) -> Proof:
        for there in await self.memberships.of_account(account_id):
            if organization_id in {None, there.organization_id}:
                role = await self._role(there)
                if role is not None and await self._may_come(there, methods):
                    return Proof(
                        account_id=account_id,
                        organization_id=there.organization_id,
                        member_id=there.member_id,
                        role=role,
                        methods=methods,
                    )
        self.signed_in("no_membership")
        raise PermissionDenied(
            "The account may act in no such organization.",
            hint="Ask one for an invitation, or sign in where it has you sign in (single sign-on).",
        )

    async def _may_come(self, there: Membership, methods: tuple[str, ...]) -> bool:
        """Tell whether somebody may sign in to an organization so: it may have all but a few come by its provider."""
        if SSO in methods:
            return True
        (policy,) = await self.policies.of([there.organization_id], PolicyKind.SSO)
        return not isinstance(policy, SsoPolicy) or not policy.enforced or there.member_id in policy.break_glass

    async def _role(self, there: Membership) -> Role | None:
        """Give as what somebody may act in an organization now, if they may at all."""
        try:
            standing = await self.members.standing(there.organization_id, [there.member_id])
        except NotFound:
            return None
        member = standing.members.get(there.member_id)
        if member is None or not member.enabled or standing.status is OrganizationStatus.SUSPENDED:
            return None
        return member.role

    async def _account_of(self, token: RefreshToken) -> AccountId | None:
        return await self.sessions.account_of_family(token.family_id)

    async def _refresh(self, caller: Caller, token: RefreshToken) -> Refreshed:
        """Wait for other refreshes of the same session without holding a connection meanwhile."""
        async with self._turn(token.family_id):
            until = monotonic() + REFRESH_SECONDS
            while (outcome := await self.sessions.refresh(caller, token)) is None:
                if monotonic() >= until:
                    raise Overloaded("Too many refreshes of one session at once.", retry_after=1.0)
                await asyncio.sleep(random.uniform(*_PAUSE))  # noqa: S311  # no secret: who comes next
            return outcome

    def _turn(self, whose: UUID) -> asyncio.Lock:
        """Give what one call at a time of this server holds: the others of one account wait without a connection."""
        lock = self.turns.get(whose)
        if lock is None:
            lock = self.turns[whose] = asyncio.Lock()
        return lock

    async def _tokens(self, opened: Opened) -> Tokens:
        session, now = opened.session, self.clock()
        expires_at = min(now + self.lasts, session.expires_at)
        claims = AccessClaims(
            account_id=session.account_id,
            organization_id=session.organization_id,
            session_id=session.session_id,
            token_id=uuid7(),
            methods=session.methods,
            level=session.level,
            authenticated_at=session.authenticated_at,
            issued_at=now,
            expires_at=expires_at,
        )
        return Tokens(
            access_token=sign_token(claims, self.issuer, await self.keys.signing()),
            expires_in=int((expires_at - now).total_seconds()),
            refresh_token=opened.refresh.text,
            session_id=session.session_id,
            organization_id=session.organization_id,
        )


def session_of(caller: Caller) -> SessionId:
    """Give the session of whoever has signed in; raises :class:`PermissionDenied` for a caller that is no person."""
    if caller.session_id is None:
        raise PermissionDenied("Only a person who has signed in has a session.", hint="Sign in, and try again.")
    return SessionId(caller.session_id)


def _as(account_id: AccountId, request_id: str | None) -> Caller:
    """Make somebody who has proved to be an account the caller of it."""
    return own_account(replace(accounts_caller(request_id), account_id=account_id))


def _no_grant() -> InvalidGrant:
    return InvalidGrant("The refresh token is not good.", hint="Sign in again.")
