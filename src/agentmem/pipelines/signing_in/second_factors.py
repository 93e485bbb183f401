"""Second factors of a sign-in: what it needs after the password, and how it goes on until nothing more is needed."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from agentmem.errors import InvalidInput, RateLimited, Unauthenticated
from agentmem.features.identity.factors.challenges import ChallengeService
from agentmem.features.identity.factors.model import MULTIPLE, Challenge, Demand, owed
from agentmem.features.identity.factors.passkey_service import PasskeyService
from agentmem.features.identity.factors.service import FactorService
from agentmem.features.organizations.policies import PolicyService
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.codes.port import NO_SENDERS, OtpSender
from agentmem.foundation.database.database import Database
from agentmem.foundation.state.port import State
from agentmem.foundation.telemetry.watchers import unheard
from agentmem.kit.networks import Address
from agentmem.pipelines.signing_in.attempts import Attempts
from agentmem.pipelines.signing_in.codes import Codes
from agentmem.pipelines.signing_in.factors import SSO, Proof, Where
from agentmem.pipelines.signing_in.passkeys import Passkeys, account_caller
from agentmem.schemas.factors import (
    SENT,
    ChallengeStatus,
    FactorBegun,
    FactorChoice,
    FactorKind,
    FactorProof,
    FactorRequired,
    NewPasskey,
)
from agentmem.schemas.policies import FactorPolicy, PolicyKind

_PREFIX: Final = "amc_"
_SECRET_BYTES: Final = 32


@dataclass(frozen=True, kw_only=True)
class SecondFactors:
    """Asks for second factors and takes them."""

    factors: FactorService
    challenges: ChallengeService
    passkeys: Passkeys
    codes: Codes
    policies: PolicyService
    shown: Callable[[str, str], None] = unheard
    """Called with the kind of each factor that was shown, and what became of it."""

    @classmethod
    def over(
        cls,
        database: Database,
        state: State,
        policies: PolicyService,
        *,
        public_url: str | None,
        senders: Mapping[FactorKind, OtpSender] = NO_SENDERS,
        shown: Callable[[str, str], None] = unheard,
    ) -> SecondFactors:
        """Put them together; ``senders`` are there for the kinds of codes that the server is set up to send."""
        factors, challenges = FactorService(database=database), ChallengeService(database=database)
        attempts = Attempts(state=state)
        return cls(
            factors=factors,
            challenges=challenges,
            passkeys=Passkeys(service=PasskeyService(database=database), state=state, public_url=public_url),
            codes=Codes(factors=factors, challenges=challenges, attempts=attempts, senders=senders),
            policies=policies,
            shown=shown,
        )

    async def ask(self, challenge: Challenge, request_id: str | None = None) -> FactorRequired | None:
        """Say what a sign-in needs that has proved this so far; ``None`` if nothing."""
        needed = await self._owed(challenge, account_caller(challenge.account_id, request_id))
        if needed.is_met:
            return None
        token = f"{_PREFIX}{secrets.token_urlsafe(_SECRET_BYTES)}"
        await self.challenges.open(_digest(token), challenge)
        return FactorRequired(
            status=ChallengeStatus.FACTOR if needed.prove else ChallengeStatus.ENROLMENT,
            challenge=token,
            factors=list(needed.prove or needed.enrol),
            organization_id=challenge.acting_in,
        )

    async def challenge(self, proof: Proof, where: Where) -> FactorRequired | None:
        """Give what is asked for besides what was proved, or ``None`` where that is enough."""
        if {SSO, MULTIPLE} <= set(proof.methods):
            return None  # the organization's provider has asked for a second factor: none is kept here besides
        return await self.ask(
            Challenge(account_id=proof.account_id, acting_in=proof.organization_id, role=proof.role, amr=proof.methods),
            where.request_id,
        )

    async def begin(self, choice: FactorChoice, request_id: str | None = None) -> FactorBegun:
        """Prepare the chosen factor of a sign-in: send a code, ask for a passkey, or enrol what the account lacks.

        Raises :class:`Unauthenticated` when the sign-in is over, :class:`InvalidInput` for a factor it does not need.
        """
        challenge, caller = await self._resume(choice.challenge, request_id)
        needed = await self._owed(challenge, caller)
        _require_offered(choice.kind, needed)
        if needed.prove:
            return await self._prepare(caller, choice.kind)
        if choice.kind in SENT:
            await self.codes.enrol(caller, choice.kind, choice.receiver)
            return FactorBegun(sent=True)
        if choice.kind is FactorKind.PASSKEY:
            return FactorBegun(public_key=(await self.passkeys.ask_for_new(caller)).public_key)
        return FactorBegun(totp=await self.factors.enrol_totp(caller))

    async def answer(self, proof: FactorProof, address: Address, request_id: str | None = None) -> Challenge:
        """Take a factor, and give the sign-in with what is proved now; its challenge is over, and it may need another.

        Raises :class:`Unauthenticated` for a wrong factor and for a sign-in that is over, :class:`RateLimited`.
        """
        challenge, caller = await self._resume(proof.challenge, request_id)
        needed = await self._owed(challenge, caller)
        _require_offered(proof.kind, needed)
        try:
            await self._take(caller, proof, address, proving=bool(needed.prove))
        except (InvalidInput, RateLimited, Unauthenticated) as error:
            self.shown(proof.kind.value, error.code)
            raise
        self.shown(proof.kind.value, "accepted")
        # Of two factors that are shown at once, one ends the sign-in: it makes one session.
        if not await self.challenges.close(_digest(proof.challenge)):
            raise _over()
        return challenge.proved_by(proof.kind)

    async def _take(self, caller: Caller, proof: FactorProof, address: Address, *, proving: bool) -> None:
        """Take a factor that the account has, or add it."""
        if proof.credential is None and (proving or proof.kind in SENT):
            await self.codes.take(caller, proof.kind, proof.code or "", address)
        elif proof.credential is None:
            await self.factors.confirm_totp(caller, proof.code or "")
        elif proving:
            await self.passkeys.verify(caller, proof.credential)
        else:
            await self.passkeys.add(caller, NewPasskey(name=proof.name, credential=proof.credential))

    async def _prepare(self, caller: Caller, kind: FactorKind) -> FactorBegun:
        if kind is FactorKind.PASSKEY:
            return FactorBegun(public_key=(await self.passkeys.ask(caller)).public_key)
        if kind in SENT:
            await self.codes.send(caller, kind)
        return FactorBegun(sent=kind in SENT)

    async def _resume(self, token: str, request_id: str | None) -> tuple[Challenge, Caller]:
        challenge = await self.challenges.find(_digest(token))
        if challenge is None:
            raise _over()
        return challenge, account_caller(challenge.account_id, request_id)

    async def _owed(self, challenge: Challenge, caller: Caller) -> Demand:
        (policy,) = await self.policies.of([challenge.acting_in], PolicyKind.FACTORS)
        if not isinstance(policy, FactorPolicy):
            raise TypeError("the policy of factors is none of factors")
        return owed(challenge, await self.factors.kinds(caller), policy)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _require_offered(kind: FactorKind, needed: Demand) -> None:
    if kind not in (needed.prove or needed.enrol):
        raise InvalidInput(f"{kind.value} is none of the factors that this sign-in needs.")


def _over() -> Unauthenticated:
    return Unauthenticated("The sign-in is over.", hint="Sign in again.")
