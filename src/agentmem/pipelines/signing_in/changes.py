"""Changes of an account's factors, which may end what was signed in to without them."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from agentmem.foundation.authorization.caller import Caller, own_account
from agentmem.kit.ids import AccountId
from agentmem.kit.networks import Address
from agentmem.pipelines.signing_in.pipeline import SigningIn
from agentmem.pipelines.signing_in.second_factors import SecondFactors
from agentmem.schemas.factors import FactorCode, FactorKind, Factors, NewPasskey, Passkey, ReceiverCode


@dataclass(frozen=True, kw_only=True)
class FactorChanges:
    """Changes factors for whoever has signed in, and ends the other sessions if that is asked for."""

    secondary: SecondFactors
    signing_in: SigningIn

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
