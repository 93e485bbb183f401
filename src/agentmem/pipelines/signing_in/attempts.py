"""How often codes may be tried: by an account and by an address, before anything else is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agentmem.foundation.state.charging import require_allowed
from agentmem.foundation.state.port import PUBLIC, Quota, State
from agentmem.kit.ids import AccountId
from agentmem.kit.networks import Address, network_of

MINUTE: Final = 60.0
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
OF_ACCOUNT: Final = ((5, 5 * MINUTE), (20, HOUR), (50, DAY))
OF_ADDRESS: Final = ((10, 5 * MINUTE), (50, HOUR))
SENT_TO_ACCOUNT: Final = ((3, 10 * MINUTE), (10, DAY))
"""Codes that are sent to a person, who pays for the noise, and the operator for the messages."""


@dataclass(frozen=True, kw_only=True)
class Attempts:
    """Counts attempts in the shared state; the hard count of wrong codes is in PostgreSQL beside it."""

    state: State

    async def try_code(self, account_id: AccountId, address: Address) -> None:
        """Count an attempt at a code; raises :class:`RateLimited`."""
        own = _quotas("factor", str(account_id), OF_ACCOUNT)
        await self._take([*own, *_quotas("factor-ip", network_of(address), OF_ADDRESS)])

    async def send_code(self, account_id: AccountId) -> None:
        """Count a code that is sent; raises :class:`RateLimited`."""
        await self._take(_quotas("factor-sent", str(account_id), SENT_TO_ACCOUNT))

    async def _take(self, quotas: list[Quota]) -> None:
        require_allowed(await self.state.take(PUBLIC, quotas, 1))


def _quotas(name: str, subject: str, limits: tuple[tuple[int, float], ...]) -> list[Quota]:
    return [Quota(name=f"{name}-{window:.0f}", subject=subject, limit=limit, window=window) for limit, window in limits]
