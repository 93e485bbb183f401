"""A mailbox in the place of a mail server, and a real mail server on this machine."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from agentmem.errors import MailUnavailable
from agentmem.foundation.mail.port import Mail

SECRET = re.compile(r"am[ti]_[0-9A-Za-z_]+")
USER, PASSWORD = "agentmem", "relay-password"  # of a server that lives for one test


@dataclass(kw_only=True)
class Mailbox:
    """Takes mail, or refuses it, as the vendor of the port would."""

    mails: list[Mail] = field(default_factory=list)
    away: bool = False

    async def send(self, mail: Mail) -> None:
        if self.away:
            raise MailUnavailable("The mail server does not answer.")
        self.mails.append(mail)

    def secret(self, email: str) -> str:
        """Give the secret of the last mail to an address."""
        mail = [mail for mail in self.mails if mail.to == email][-1]
        found = SECRET.search(mail.text)
        assert found is not None
        return found[0]


@dataclass(kw_only=True)
class Sink:
    """What a mail server was given."""

    messages: list[EmailMessage] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    refusing: str | None = None

    async def handle_RCPT(  # noqa: N802  # the name is aiosmtpd's
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.refusing is not None:
            return self.refusing
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # as above
        content = envelope.original_content or b""
        self.messages.append(message_from_bytes(content, policy=policy.default))
        self.encrypted.append(session.ssl is not None)
        return "250 OK"


@asynccontextmanager
async def smtp_server(context: ssl.SSLContext | None = None, *, auth: bool = False) -> AsyncIterator[tuple[Sink, int]]:
    """Run a mail server on this machine; with a context it offers STARTTLS, and takes mail after it alone."""
    sink = Sink()

    def authenticate(_server: SMTP, _session: Session, _envelope: Envelope, _way: str, data: object) -> AuthResult:
        given = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=given, handled=given)

    def talking() -> SMTP:
        return SMTP(
            sink,
            tls_context=context,
            require_starttls=context is not None,
            auth_required=auth,
            authenticator=authenticate if auth else None,
            loop=asyncio.get_running_loop(),
        )

    server = await asyncio.get_running_loop().create_server(talking, "127.0.0.1", 0)
    async with server:
        yield sink, server.sockets[0].getsockname()[1]
