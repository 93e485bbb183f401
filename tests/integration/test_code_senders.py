"""Codes that are really sent: to a gateway over HTTP and to a mail server, both on this machine."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator

import pytest

from agentmem.errors import ConfigurationError, MailUnavailable, Unavailable
from agentmem.foundation.codes.gateway import GatewayCodes
from agentmem.foundation.codes.open import open_code_senders
from agentmem.foundation.mail.open import open_mailer
from agentmem.foundation.mail.smtp import SMTP
from agentmem.foundation.outbound.open import open_sender
from agentmem.foundation.outbound.port import Sender
from agentmem.foundation.resilience.guarded import Guarded
from agentmem.schemas.factors import FactorKind
from agentmem.settings import Settings
from tests.support.mailbox import smtp_server
from tests.support.receiver import LOOPBACK, Receiver, receiving

TELEPHONE, CODE = "+4915112345678", "314159"


@pytest.fixture
def gateway() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    """What sends to this machine, as the settings allow it."""
    opened = open_sender(Settings.load(webhook_http=True, webhook_networks=LOOPBACK))
    assert opened is not None
    yield opened
    await opened.aclose()


async def test_gateway_is_sent_the_code_and_to_whom(gateway: Receiver, sender: Sender) -> None:
    senders = open_code_senders(Settings.load(sms_gateway_url=gateway.url), None, sender)
    await senders[FactorKind.SMS].send(TELEPHONE, CODE)

    (taken,) = gateway.taken
    assert json.loads(taken.body) == {"to": TELEPHONE, "text": f"Your AgentMem code is {CODE}."}
    assert taken.headers["content-type"] == "application/json"
    assert set(senders) == {FactorKind.SMS}


@pytest.mark.parametrize("status", [302, 400, 503])
async def test_gateway_that_does_not_take_it_is_said_to_be_away_and_no_more(
    gateway: Receiver, sender: Sender, status: int
) -> None:
    gateway.statuses.append(status)
    url = f"{gateway.url}?key=canary"
    with pytest.raises(Unavailable) as raised:
        await GatewayCodes(sender=sender, url=url).send(TELEPHONE, CODE)

    for secret in (CODE, TELEPHONE, "canary"):
        assert secret not in f"{raised.value!r} {raised.value} {raised.value.hint}"
    assert "canary" not in repr(GatewayCodes(sender=sender, url=url))


async def test_gateway_inside_the_own_network_is_not_asked_unless_it_is_allowed(gateway: Receiver) -> None:
    closed = open_sender(Settings.load(webhook_http=True))
    assert closed is not None
    with pytest.raises(Unavailable):
        await GatewayCodes(sender=closed, url=gateway.url).send(TELEPHONE, CODE)
    await closed.aclose()

    assert gateway.taken == []


async def test_code_is_mailed_to_the_address_alone() -> None:
    async with smtp_server() as (sink, port):
        settings = Settings.load(mail_url=f"smtp+cleartext://127.0.0.1:{port}", email_codes=True)
        mailer = open_mailer(settings, Guarded(SMTP))
        senders = open_code_senders(settings, mailer, None)
        await senders[FactorKind.EMAIL].send("ada@example.com", CODE)
    with pytest.raises(MailUnavailable) as raised:
        await senders[FactorKind.EMAIL].send("ada@example.com", CODE)
    (message,) = sink.messages

    assert (message["To"], message["Subject"]) == ("ada@example.com", "Your AgentMem code")
    assert CODE in message.get_content()
    assert CODE not in f"{raised.value!r}"


def test_codes_by_mail_need_a_server_that_takes_mail() -> None:
    with pytest.raises(ConfigurationError, match="no server takes mail"):
        open_code_senders(Settings.load(email_codes=True), None, None)
    assert open_code_senders(Settings.load(), None, None) == {}
