"""Asking for a mail: the same answer after the same work, whether the address has an account or not."""

from __future__ import annotations

from dataclasses import dataclass

from agentmem.errors import Conflict
from agentmem.features.identity.accounts.addresses import canonical
from agentmem.features.identity.accounts.model import MailPurpose
from agentmem.features.identity.accounts.self_service import SelfService
from agentmem.features.identity.accounts.throttles import Throttles
from agentmem.foundation.authorization.caller import accounts_caller
from agentmem.foundation.authorization.platform import platform_id
from agentmem.foundation.database.database import Database
from agentmem.kit.networks import Address


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Has mails sent, to nobody more than so often; ``sends`` says whether this installation sends any."""

    self_service: SelfService
    throttles: Throttles
    database: Database
    sends: bool

    async def ask(self, purpose: MailPurpose, email: str, address: Address | None = None) -> None:
        """Have a mail sent to an address; beyond its limit nothing is, and nobody is told.

        Raises :class:`RateLimited` for whoever asks too often, and :class:`Conflict` where no mail is sent at all.
        """
        if not self.sends:
            raise Conflict("This installation sends no mail.", hint="Whoever runs it sets AGENTMEM_MAIL_URL.")
        await self.throttles.ask_mail(address)
        index = (await self.database.keys(platform_id())).index
        if await self.throttles.may_mail(index.identifier_mac(canonical(email))):
            await self.self_service.request(accounts_caller(), purpose, email)
