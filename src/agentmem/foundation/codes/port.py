"""What is asked of whoever sends one-time codes to people."""

from __future__ import annotations

from typing import Protocol


class OtpSender(Protocol):
    """Sends codes by one way, such as mail."""

    async def send(self, receiver: str, code: str) -> None:
        """Send a code to a receiver, who has ten minutes to use it; raises :class:`Unavailable` if it cannot."""
        ...
