"""Which codes a server sends, by the settings."""

from __future__ import annotations

from collections.abc import Mapping

from agentmem.errors import ConfigurationError
from agentmem.foundation.codes.gateway import GatewayCodes
from agentmem.foundation.codes.mailed import MailedCodes
from agentmem.foundation.codes.port import OtpSender
from agentmem.foundation.mail.port import Mailer
from agentmem.foundation.outbound.port import Sender
from agentmem.schemas.factors import FactorKind
from agentmem.settings import Settings


def open_code_senders(
    settings: Settings, mailer: Mailer | None, sender: Sender | None
) -> Mapping[FactorKind, OtpSender]:
    """Make what sends codes, of the kinds that are switched on; raises :class:`ConfigurationError`."""
    senders: dict[FactorKind, OtpSender] = {}
    if settings.email_codes:
        if mailer is None:
            raise ConfigurationError("email_codes is on, and no server takes mail.", hint="Set AGENTMEM_MAIL_URL.")
        senders[FactorKind.EMAIL] = MailedCodes(mailer=mailer)
    if settings.sms_gateway_url is not None and sender is not None:
        senders[FactorKind.SMS] = GatewayCodes(sender=sender, url=settings.sms_gateway_url.get_secret_value())
    return senders
