"""Passwords that are too old to sign in with: whoever has proved everything else chooses another one first."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final, Protocol

from agentmem.errors import Unauthenticated
from agentmem.features.identity.accounts.model import Chosen
from agentmem.features.identity.factors.challenges import ChallengeService
from agentmem.features.identity.factors.model import Challenge
from agentmem.foundation.authorization.caller import Caller
from agentmem.kit.ids import AccountId
from agentmem.pipelines.signing_in.factors import PASSWORD, Proof
from agentmem.pipelines.signing_in.passkeys import account_caller
from agentmem.schemas.policies import PasswordRules
from agentmem.schemas.sessions import ExpiredPassword, PasswordExpired

_PREFIX: Final = "amp_"
"""Part of what is hashed: the challenge of a factor, which a password alone gets, is none of these."""
_SECRET_BYTES: Final = 32


class Renewal(Protocol):
    """Knows how old passwords may become, and replaces them."""

    async def expired(self, account_id: AccountId) -> PasswordRules | None:
        """Give the rules that another password is chosen by, or ``None`` where the present one will do."""
        ...

    async def choose(self, account_id: AccountId, password: str) -> Chosen:
        """Judge and hash another password; raises :class:`WeakPassword`."""
        ...

    async def renew(self, caller: Caller, chosen: Chosen) -> None:
        """Give the caller's own account another password, and end all that the old one signed in to."""
        ...


@dataclass(frozen=True, kw_only=True)
class Aging:
    """Asks for another password where the present one is too old, and takes it."""

    challenges: ChallengeService
    renewal: Renewal

    async def challenge(self, proof: Proof) -> PasswordExpired | None:
        """Give what a proof that is whole otherwise lacks: ``None`` unless it is by a password that is too old."""
        rules = await self.renewal.expired(proof.account_id) if PASSWORD in proof.methods else None
        if rules is None:
            return None
        token = f"{_PREFIX}{secrets.token_urlsafe(_SECRET_BYTES)}"
        challenge = Challenge(
            account_id=proof.account_id, acting_in=proof.organization_id, role=proof.role, amr=proof.methods
        )
        await self.challenges.open(_digest(token), challenge)
        return PasswordExpired(challenge=token, rules=rules, organization_id=proof.organization_id)

    async def answer(self, chosen: ExpiredPassword, request_id: str | None = None) -> Challenge:
        """Take another password, and give the sign-in that goes on with it; a password that is refused ends nothing.

        Raises :class:`Unauthenticated` for a sign-in that is over, :class:`WeakPassword`.
        """
        digest = _digest(chosen.challenge)
        challenge = await self.challenges.find(digest) if chosen.challenge.startswith(_PREFIX) else None
        if challenge is None:
            raise _over()
        password = await self.renewal.choose(challenge.account_id, chosen.password.get_secret_value())
        # Of two passwords that are chosen at once, one is set.
        if not await self.challenges.close(digest):
            raise _over()
        await self.renewal.renew(account_caller(challenge.account_id, request_id), password)
        return challenge


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _over() -> Unauthenticated:
    return Unauthenticated("The sign-in is over.", hint="Sign in again.")
