"""Sign-ins that a factor completes, or begins."""

from __future__ import annotations

from dataclasses import dataclass

from agentmem.errors import NotFound
from agentmem.features.identity.accounts.service import AccountService
from agentmem.features.identity.factors.model import PASSWORDLESS
from agentmem.features.identity.factors.webauthn import refused
from agentmem.foundation.authorization.caller import accounts_caller
from agentmem.kit.ids import OrganizationId
from agentmem.kit.networks import Address
from agentmem.pipelines.signing_in.factors import Where
from agentmem.pipelines.signing_in.pipeline import SigningIn
from agentmem.pipelines.signing_in.second_factors import SecondFactors
from agentmem.schemas.factors import FactorProof, FactorRequired, PasskeySignIn
from agentmem.schemas.sessions import Tokens


@dataclass(frozen=True, kw_only=True)
class FactorSignIn:
    """Takes a factor and goes on with the sign-in that it belongs to, which may need another."""

    accounts: AccountService
    secondary: SecondFactors
    signing_in: SigningIn

    async def show(self, proof: FactorProof, address: Address, where: Where) -> Tokens | FactorRequired:
        """Complete a sign-in by a factor; raises as :meth:`SecondFactors.answer` and :meth:`SigningIn.proceed`."""
        proved = await self.secondary.answer(proof, address, where.request_id)
        return await self.signing_in.proceed(proved.account_id, proved.acting_in, proved.amr, where)

    async def by_passkey(self, asked: PasskeySignIn, where: Where) -> Tokens | FactorRequired:
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
