"""What AgentMem asks of whatever sends its mail."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Mail:
    """A mail to one person; its text may hold a secret."""

    to: str = field(repr=False)
    subject: str
    text: str = field(repr=False)


class Mailer(Protocol):
    """Sends mail."""

    async def send(self, mail: Mail) -> None:
        """Hand a mail over; raises :class:`MailUnavailable` when it was not taken."""
        ...
