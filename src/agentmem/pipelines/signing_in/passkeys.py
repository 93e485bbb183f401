"""Ceremonies of passkeys: what a browser is asked once, and what its answer proves."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from pydantic import JsonValue

from agentmem.features.identity.factors.model import StoredPasskey, account_of
from agentmem.features.identity.factors.passkey_service import PasskeyService
from agentmem.features.identity.factors.webauthn import (
    CEREMONY_SECONDS,
    CHALLENGE_BYTES,
    RelyingParty,
    authentication_options,
    challenge_of,
    claimed_by,
    credential_id_of,
    read_assertion,
    read_registration,
    refused,
    registration_options,
)
from agentmem.foundation.authorization.caller import Caller, accounts_caller, own_account
from agentmem.foundation.state.port import PUBLIC, State
from agentmem.kit.ids import AccountId
from agentmem.schemas.factors import Ceremony, NewPasskey, Passkey

_SIGN_IN: Final = "sign-in"
_REGISTRATION: Final = "registration"
_FACTOR: Final = "factor"
Answer = Mapping[str, JsonValue]


def account_caller(account_id: AccountId, request_id: str | None = None) -> Caller:
    """Make the caller of an account that is signing in, for its own account alone."""
    return own_account(replace(accounts_caller(request_id), account_id=account_id))


@dataclass(frozen=True, kw_only=True)
class Passkeys:
    """Makes passkeys and takes them, each challenge once, for one purpose of one account.

    ``public_url`` is the address whose passkeys they are; without one there are none.
    """

    service: PasskeyService
    state: State
    public_url: str | None

    async def ask_for_new(self, caller: Caller) -> Ceremony:
        """Say what the browser is asked to make a passkey for the caller's account."""
        party, account_id, name = self._party(), account_of(caller), await self.service.address(caller)
        known = [passkey.credential_id for passkey in await self.service.all(caller)]
        challenge = await self._challenge(f"{_REGISTRATION} {account_id}")
        return Ceremony(public_key=registration_options(party, challenge, account_id, name, known))

    async def add(self, caller: Caller, new: NewPasskey) -> Passkey:
        """Keep the passkey that a browser made; raises :class:`Unauthenticated`, :class:`Conflict`."""
        challenge = await self._take(new.credential, f"{_REGISTRATION} {account_of(caller)}")
        return await self.service.add(caller, new.name, read_registration(self._party(), new.credential, challenge))

    async def ask_anybody(self) -> Ceremony:
        """Say what the browser is asked to sign somebody in whose passkey it knows; it tells nothing of accounts."""
        challenge = await self._challenge(_SIGN_IN)
        return Ceremony(public_key=authentication_options(self._party(), challenge))

    async def recognize(self, credential: Answer, request_id: str | None = None) -> AccountId:
        """Give whose passkey answered, its user verified; raises :class:`Unauthenticated`, the same for every cause.

        Whether the account may sign in is not asked here.
        """
        challenge = await self._take(credential, _SIGN_IN)
        account_id, credential_id = claimed_by(credential)
        caller = account_caller(account_id, request_id)
        await self._accept(caller, await self.service.find(caller, credential_id), credential, challenge)
        return account_id

    async def ask(self, caller: Caller) -> Ceremony:
        """Say what the browser is asked to use one of the passkeys of the caller's account."""
        known = [passkey.credential_id for passkey in await self.service.all(caller)]
        challenge = await self._challenge(f"{_FACTOR} {account_of(caller)}")
        return Ceremony(public_key=authentication_options(self._party(), challenge, known))

    async def verify(self, caller: Caller, credential: Answer) -> None:
        """Take the answer of one of the passkeys of the caller's account; raises :class:`Unauthenticated`."""
        challenge = await self._take(credential, f"{_FACTOR} {account_of(caller)}")
        found = await self.service.find(caller, credential_id_of(credential))
        await self._accept(caller, found, credential, challenge)

    async def _accept(
        self, caller: Caller, passkey: StoredPasskey | None, credential: Answer, challenge: bytes
    ) -> None:
        if passkey is None or passkey.account_id != account_of(caller):
            raise refused()
        used = read_assertion(self._party(), credential, challenge, passkey)
        await self.service.accept(caller, passkey.passkey_id, used.sign_count)

    def _party(self) -> RelyingParty:
        return RelyingParty.of(self.public_url)

    async def _challenge(self, purpose: str) -> bytes:
        challenge = secrets.token_bytes(CHALLENGE_BYTES)
        await self.state.put(PUBLIC, _name(challenge), purpose.encode(), seconds=CEREMONY_SECONDS)
        return challenge

    async def _take(self, credential: Answer, purpose: str) -> bytes:
        """Give the challenge of an answer, which is over with that, whatever comes of it."""
        challenge = challenge_of(credential)
        if await self.state.pop(PUBLIC, _name(challenge)) != purpose.encode():
            raise refused()
        return challenge


def _name(challenge: bytes) -> str:
    return f"passkey:{hashlib.sha256(challenge).hexdigest()}"
