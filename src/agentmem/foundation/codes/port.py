"""What is asked of whoever sends one-time codes to people."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol

from agentmem.schemas.factors import FactorKind


class OtpSender(Protocol):
    """Sends codes by one way, such as mail."""

    async def send(self, receiver: str, code: str) -> None:
        """Send a code to a receiver, who has ten minutes to use it; raises :class:`Unavailable` if it cannot."""
        ...


NO_SENDERS: Final[Mapping[FactorKind, OtpSender]] = MappingProxyType({})
"""What a server has that is not set up to send codes."""
