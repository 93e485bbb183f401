"""Codes of all kinds: sent where they are sent, and tried no more often than they may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agentmem.errors import Conflict
from agentmem.features.identity.factors.challenges import ChallengeService
from agentmem.features.identity.factors.model import account_of
from agentmem.features.identity.factors.service import FactorService, refused
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.codes.port import OtpSender
from agentmem.kit.networks import Address
from agentmem.pipelines.signing_in.attempts import Attempts
from agentmem.schemas.factors import FactorKind


@dataclass(frozen=True, kw_only=True)
class Codes:
    """Sends codes and takes them; ``senders`` are there for the kinds that the server is set up to send."""

    factors: FactorService
    challenges: ChallengeService
    attempts: Attempts
    senders: Mapping[FactorKind, OtpSender]

    async def take(self, caller: Caller, kind: FactorKind, code: str, address: Address) -> None:
        """Take a code of the caller's account, which is used up by that; raises :class:`Unauthenticated`.

        The attempt is counted before: by account and address, where :class:`RateLimited` is raised, and for good.
        """
        account_id = account_of(caller)
        await self.attempts.try_code(account_id, address)
        if not await self.challenges.reserve(account_id, kind):
            raise refused()
        if kind is FactorKind.TOTP:
            await self.factors.verify_totp(caller, code)
        elif kind is FactorKind.RECOVERY_CODE:
            await self.factors.verify_recovery_code(caller, code)
        else:
            await self.factors.verify_sent_code(caller, kind, code)

    async def enrol(self, caller: Caller, kind: FactorKind, receiver: str | None) -> None:
        """Send the first code to a new receiver, which works once it comes back; mail goes to the account's address.

        Raises :class:`Conflict` where codes of this kind are not sent, or are sent to the account already.
        """
        self._sender(kind)
        await self.factors.enrol_receiver(caller, kind, receiver)
        await self.send(caller, kind)

    async def send(self, caller: Caller, kind: FactorKind) -> None:
        """Send a code to the caller's account; raises :class:`RateLimited`, and :class:`Conflict` as above."""
        sender = self._sender(kind)
        await self.attempts.send_code(account_of(caller))
        issued = await self.factors.issue_code(caller, kind)
        await sender.send(issued.receiver, issued.code)

    def _sender(self, kind: FactorKind) -> OtpSender:
        sender = self.senders.get(kind)
        if sender is None:
            raise Conflict(f"This server sends no codes by {kind.value}.", hint="Use another kind of factor.")
        return sender
