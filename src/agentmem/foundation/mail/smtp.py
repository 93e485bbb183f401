"""Mail by SMTP (RFC 5321), encrypted unless the URL says otherwise."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Final, Self
from urllib.parse import unquote, urlsplit

import structlog

from agentmem.errors import ConfigurationError, MailUnavailable
from agentmem.foundation.mail.port import Mail
from agentmem.foundation.resilience.guarded import Guard, Guarded

log = structlog.get_logger(__name__)
SCHEMES: Final = {"smtps": 465, "smtp": 587, "smtp+cleartext": 25}
"""TLS from the first byte; STARTTLS, without which nothing is sent; and neither, for a relay on the same machine."""
SMTP: Final = Guard(name="smtp", what="The mail server", error=MailUnavailable, seconds=20.0, most=4, waiting=64)


@dataclass(frozen=True, kw_only=True, slots=True)
class Relay:
    """The server that takes our mail, and how we speak to it."""

    scheme: str
    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, url: str) -> Self:
        """Read a URL such as ``smtp://user:password@mail.example.com``; raises :class:`ConfigurationError`."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in SCHEMES or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ConfigurationError(
                "The URL of the mail server cannot be read.",
                hint="Write smtp://user:password@host:587 (STARTTLS), smtps:// (TLS), smtp+cleartext:// or console:.",
            )
        return cls(
            scheme=parts.scheme,
            host=parts.hostname,
            port=port or SCHEMES[parts.scheme],
            user=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
        )


class SmtpMailer:
    """Sends mail by way of a relay, over a connection for each."""

    def __init__(self, relay: Relay, sender: str, guarded: Guarded) -> None:
        """Name the relay and whose address the mail is from."""
        self._relay = relay
        self._sender = sender
        self._guarded = guarded

    async def send(self, mail: Mail) -> None:
        """Hand a mail to the relay; raises :class:`MailUnavailable` when it does not take it."""
        await self._guarded.call(lambda: asyncio.to_thread(self._send, mail))

    def _send(self, mail: Mail) -> None:
        try:
            with self._connect() as server:
                server.send_message(_message(mail, self._sender))
        except smtplib.SMTPRecipientsRefused:
            # The server is well: whoever names addresses that are none must not make us leave it alone.
            log.info("mail_refused")
        except (OSError, smtplib.SMTPException, HeaderParseError) as error:
            # Its own text may name the address.
            raise MailUnavailable(f"The mail server did not take a mail ({type(error).__name__}).") from None

    def _connect(self) -> smtplib.SMTP:
        relay, trusted = self._relay, ssl.create_default_context()
        if relay.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(relay.host, relay.port, timeout=SMTP.seconds, context=trusted)
        else:
            server = smtplib.SMTP(relay.host, relay.port, timeout=SMTP.seconds)
        try:
            if relay.scheme == "smtp":
                server.starttls(context=trusted)  # raises where the server does not offer it
            if relay.user is not None:
                server.login(relay.user, relay.password or "")
        except BaseException:
            server.close()
            raise
        return server


def _message(mail: Mail, sender: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = Address(addr_spec=mail.to)
    message["Subject"] = mail.subject
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2].rstrip(">") or None)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    return message
