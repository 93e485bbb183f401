"""From an access token to whoever signed in: the token says which session, PostgreSQL says what it is worth now."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Final
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from agentmem.errors import DecryptionFailed, NotFound
from agentmem.features.identity.sessions.model import SHARED_SECONDS, StoredSession, copy_key
from agentmem.features.identity.sessions.service import SessionService
from agentmem.features.identity.signing.known import KnownKeys
from agentmem.features.organizations.members import MemberService
from agentmem.features.organizations.model import Standing
from agentmem.foundation.authorization.caller import Caller, Permission
from agentmem.foundation.authorization.platform import platform_id
from agentmem.foundation.database.database import Database
from agentmem.foundation.state.port import State
from agentmem.foundation.tokens.access import AccessClaims, Issuer, check_token, key_of_token
from agentmem.kit.clock import Clock
from agentmem.kit.ids import SessionId
from agentmem.pipelines.admission.belief import LOOKUPS, Belief
from agentmem.pipelines.admission.standing import PersonHolder, person_of
from agentmem.schemas.sessions import Introspection

_TABLE, _COLUMN = "session_copy", "session"


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """What the shared state holds of a session for a moment: all that authentication asks of it."""

    session: StoredSession
    standing: Standing


_COPIES: Final = TypeAdapter(Copy)


class People:
    """Authenticates access tokens: the signature first, then the session, which is believed for 0.75 seconds."""

    def __init__(
        self,
        *,
        sessions: SessionService,
        members: MemberService,
        keys: KnownKeys,
        database: Database,
        state: State,
        issuer: Issuer,
        clock: Clock,
        need_state: bool = False,
        lookups: int = LOOKUPS,
        ticks: Callable[[], float] = monotonic,
    ) -> None:
        """Know nothing yet; with ``need_state`` nobody is let in while the shared state does not answer."""
        self.keys = keys
        self.issuer = issuer
        self.sessions = sessions
        self._members = members
        self._database = database
        self._state = state
        self._clock = clock
        self._need_state = need_state
        self._ticks = ticks
        self._known: Belief[SessionId, PersonHolder] = Belief(self._read, lookups=lookups, ticks=ticks)

    async def holder(self, text: str) -> PersonHolder | str:
        """Give whose an access token is, or a word for what is wrong with it.

        Nothing is looked up for a token that we have not signed.
        """
        claims = await self._claims(text)
        if claims is None:
            return "malformed"
        found = await self._known.find(claims.session_id)
        return "unknown" if found is None else found.why_not(claims, self._clock()) or found

    async def introspect(self, caller: Caller, text: str) -> Introspection:
        """Say what an access token stands for, to whoever is of its organization or manages accounts."""
        claims, holder = await self._claims(text), await self.holder(text)
        if claims is None or isinstance(holder, str) or not _may_know(caller, claims):
            return Introspection(active=False)
        return Introspection(
            active=True,
            token_type="access_token",  # noqa: S106  # the name of a type
            sub=claims.account_id,
            org=claims.organization_id,
            sid=claims.session_id,
            iss=self.issuer.name,
            aud=self.issuer.audience,
            jti=claims.token_id,
            iat=int(claims.issued_at.timestamp()),
            exp=int(claims.expires_at.timestamp()),
            auth_time=int(claims.authenticated_at.timestamp()),
            amr=list(claims.methods),
            acr=claims.level,
        )

    def forget(self, session_ids: Iterable[str]) -> None:
        """Look these sessions up anew at their next use; all of them if none is named."""
        self._known.forget([SessionId(UUID(text)) for text in session_ids])

    async def _claims(self, text: str) -> AccessClaims | None:
        kid = key_of_token(text)
        key = None if kid is None else await self.keys.find(kid)
        return None if key is None else check_token(text, key, self.issuer, self._clock())

    async def _read(self, session_id: SessionId) -> PersonHolder | None:
        """Look a session up where another server has just done so, else in PostgreSQL."""
        if self._need_state:
            await self._state.ping()
        began = self._ticks()
        copy = await self._shared(session_id)
        if copy is None:
            copy = await self._stored(session_id)
            if copy is None:
                return None
            await self._share(copy, SHARED_SECONDS - (self._ticks() - began))
        if copy.session.is_good_at(self._clock()) and copy.session.is_stale_at(self._clock()):
            await self.sessions.touch(session_id)
        return person_of(copy.session, copy.standing)

    async def _stored(self, session_id: SessionId) -> Copy | None:
        session = await self.sessions.find(session_id)
        if session is None:
            return None
        try:
            standing = await self._members.standing(session.organization_id, [session.member_id])
        except NotFound:
            return None
        return Copy(session=session, standing=standing)

    async def _shared(self, session_id: SessionId) -> Copy | None:
        sealed = await self._state.get(str(platform_id()), copy_key(session_id))
        if sealed is None:
            return None
        keys = await self._database.keys(platform_id())
        try:
            return _COPIES.validate_json(keys.keyring.opener(_TABLE, _COLUMN)(session_id, 0, sealed))
        except (DecryptionFailed, ValidationError):  # it has ended, or somebody else wrote it: looked up anew
            return None

    async def _share(self, copy: Copy, seconds: float) -> None:
        if seconds > 0:
            keys, session_id = await self._database.keys(platform_id()), copy.session.session_id
            sealed = keys.keyring.sealer(_TABLE, _COLUMN)(session_id, 0, _COPIES.dump_json(copy))
            await self._state.put(str(platform_id()), copy_key(session_id), sealed, seconds=seconds)


def token_in(authorization: str | None) -> str | None:
    """Give the access token that a header carries, if it has the form of one."""
    scheme, _, text = (authorization or "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" and key_of_token(text.strip()) is not None else None


def _may_know(caller: Caller, claims: AccessClaims) -> bool:
    return caller.organization_id == claims.organization_id or Permission.ACCOUNT_MANAGE in caller.permissions
