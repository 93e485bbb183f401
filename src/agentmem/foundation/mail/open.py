"""What sends the mail of a process."""

from __future__ import annotations

from agentmem.foundation.mail.console import ConsoleMailer
from agentmem.foundation.mail.port import Mailer
from agentmem.foundation.mail.smtp import Relay, SmtpMailer
from agentmem.foundation.resilience.guarded import Guarded
from agentmem.settings import CONSOLE_MAIL, Settings


def open_mailer(settings: Settings, guarded: Guarded) -> Mailer | None:
    """Make what sends mail, if the settings name it; connects when first used.

    Raises :class:`ConfigurationError` for a malformed URL.
    """
    if settings.mail_url is None:
        return None
    url = settings.mail_url.get_secret_value()
    return ConsoleMailer() if url == CONSOLE_MAIL else SmtpMailer(Relay.of(url), settings.mail_from, guarded)
