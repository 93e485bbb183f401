"""One-time codes by mail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agentmem.foundation.mail.port import Mail, Mailer

_TEXT: Final = """Your code is {code}. It is good for ten minutes, once.

If you are not signing in to AgentMem now, somebody else knows your password: change it.
"""


@dataclass(frozen=True, kw_only=True)
class MailedCodes:
    """Sends codes by the server's mail."""

    mailer: Mailer

    async def send(self, receiver: str, code: str) -> None:
        """Send a code to an address; raises :class:`MailUnavailable` when it was not taken."""
        text = (
            f"Your code is {code}. It is good for ten minutes, once.\n\nIf you did not ask for it, ignore this mail.\n"
        )
        await self.mailer.send(Mail(to=receiver, subject="Your AgentMem code", text=text))
