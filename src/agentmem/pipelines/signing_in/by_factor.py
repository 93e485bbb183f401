"""What factors do for a person: complete a sign-in or begin one; and what changes them, which may end sessions."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from agentmem.errors import NotFound
from agentmem.features.identity.accounts.service import AccountService
from agentmem.features.identity.factors.model import PASSWORDLESS
from agentmem.features.identity.factors.webauthn import refused
from agentmem.foundation.authorization.caller import Caller, accounts_caller, own_account
from agentmem.kit.ids import AccountId, OrganizationId
from agentmem.kit.networks import Address
from agentmem.pipelines.signing_in.factors import Where
from agentmem.pipelines.signing_in.pipeline import SigningIn
from agentmem.pipelines.signing_in.second_factors import SecondFactors
from agentmem.schemas.factors import (
    FactorCode,
    FactorKind,
    FactorProof,
    Factors,
    NewPasskey,
    Passkey,
    PasskeySignIn,
    ReceiverCode,
)
from agentmem.schemas.sessions import SignInOutcome


@dataclass(frozen=True, kw_only=True)
class FactorFlows:
    """Takes factors and goes on with the sign-in that they belong to; changes them for whoever has signed in."""

    accounts: AccountService
    secondary: SecondFactors
    signing_in: SigningIn

    async def show(self, proof: FactorProof, address: Address, where: Where) -> SignInOutcome:
        """Complete a sign-in by a factor; raises as :meth:`SecondFactors.answer` and :meth:`SigningIn.proceed`."""
        proved = await self.secondary.answer(proof, address, where.request_id)
        return await self.signing_in.proceed(proved.account_id, proved.acting_in, proved.amr, where)

    async def by_passkey(self, asked: PasskeySignIn, where: Where) -> SignInOutcome:
        """Sign in by a passkey alone; raises :class:`Unauthenticated`, the same for a disabled account too."""
        account_id = await self.secondary.passkeys.recognize(asked.credential, where.request_id)
        try:
            account = await self.accounts.get(accounts_caller(where.request_id), account_id)
        except NotFound:
            raise refused() from None
        if account.disabled_at is not None:
            raise refused()
        named = None if asked.organization_id is None else OrganizationId(asked.organization_id)
        return await self.signing_in.proceed(account_id, named, PASSWORDLESS, where)

    async def confirm_totp(self, caller: Caller, given: FactorCode) -> Factors:
        """Let a new authenticator app work; raises :class:`InvalidInput` for a code that is not its own of now."""
        factors = await self.secondary.factors.confirm_totp(own_account(caller), given.code)
        await self._end_others(caller, ending=given.end_other_sessions)
        return factors

    async def confirm_receiver(self, caller: Caller, given: ReceiverCode, address: Address) -> Factors:
        """Let a receiver work whose code came back; raises :class:`Unauthenticated` for any other code."""
        own = own_account(caller)
        await self.secondary.codes.take(own, given.kind, given.code, address)
        await self._end_others(caller, ending=given.end_other_sessions)
        return await self.secondary.factors.get(own)

    async def add_passkey(self, caller: Caller, new: NewPasskey) -> Passkey:
        """Keep a passkey that the browser made; raises :class:`Unauthenticated`, :class:`Conflict`."""
        passkey = await self.secondary.passkeys.add(own_account(caller), new)
        await self._end_others(caller, ending=new.end_other_sessions)
        return passkey

    async def remove(self, caller: Caller, kind: FactorKind, *, end_other_sessions: bool) -> None:
        """Remove all factors of a kind; raises :class:`NotFound`."""
        await self.secondary.factors.remove(own_account(caller), kind)
        await self._end_others(caller, ending=end_other_sessions)

    async def remove_passkey(self, caller: Caller, passkey_id: UUID, *, end_other_sessions: bool) -> None:
        """Remove a passkey; raises :class:`NotFound`."""
        await self.secondary.passkeys.service.remove(own_account(caller), passkey_id)
        await self._end_others(caller, ending=end_other_sessions)

    async def reset(self, caller: Caller, account_id: AccountId, kind: FactorKind | None) -> None:
        """Remove factors of an account, and end its sessions, for an operator whom its owner has told of their loss."""
        await self.secondary.factors.reset(caller, account_id, kind)
        await self.signing_in.end_of_account(caller, account_id)

    async def _end_others(self, caller: Caller, *, ending: bool) -> None:
        if ending:
            await self.signing_in.end_others(caller)
