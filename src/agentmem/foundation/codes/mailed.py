"""One-time codes by mail."""

from __future__ import annotations

from dataclasses import dataclass

from agentmem.foundation.mail.port import Mail, Mailer


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
