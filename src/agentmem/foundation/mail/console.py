"""Mail for development: it is written where the server's own lines are."""

from __future__ import annotations

import sys

from agentmem.foundation.mail.port import Mail


class ConsoleMailer:
    """Writes mail to standard error, secrets and all: for a machine that only its developer reads."""

    async def send(self, mail: Mail) -> None:
        """Write a mail."""
        sys.stderr.write(f"--- mail to {mail.to}: {mail.subject}\n{mail.text}\n---\n")
        sys.stderr.flush()
