"""How often passwords are tried and mails are sent at most, whoever asks: counted before it is known who does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agentmem.foundation.state.charging import require_allowed
from agentmem.foundation.state.port import PUBLIC, Quota, State
from agentmem.kit.networks import Address, network_of

_GUESSING: Final = 300.0
_MAILING: Final = 3600.0
_MAILS_FROM: Final = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Throttles:
    """Limits of guesses in 5 minutes, of one address and of all, and of mails in an hour; 0 is no limit."""

    state: State
    guesses: int
    all_guesses: int
    mails: int

    async def guess(self, address: Address | None) -> None:
        """Charge a password that is tried; raises :class:`RateLimited`."""
        subject = None if address is None else network_of(address)
        quotas = (_quota("sign_ins", subject, self.guesses), _quota("all_sign_ins", "all", self.all_guesses))
        await self._take([quota for quota in quotas if quota is not None])

    async def ask_mail(self, address: Address | None) -> None:
        """Charge whoever asks for a mail; raises :class:`RateLimited`."""
        subject = None if address is None else network_of(address)
        quota = _quota("mails_asked", subject, self.mails * _MAILS_FROM, _MAILING)
        await self._take([] if quota is None else [quota])

    async def may_mail(self, subject: bytes) -> bool:
        """Charge a mail to a person, named by a keyed hash, and tell whether it is to be sent."""
        quota = _quota("mails", subject.hex(), self.mails, _MAILING)
        return quota is None or (await self.state.take(PUBLIC, [quota], 1)).allowed

    async def _take(self, quotas: list[Quota]) -> None:
        if quotas:
            require_allowed(await self.state.take(PUBLIC, quotas, 1))


def _quota(name: str, subject: str | None, limit: int, window: float = _GUESSING) -> Quota | None:
    if subject is None or limit <= 0:
        return None
    return Quota(name=name, subject=subject, limit=limit, window=window)
