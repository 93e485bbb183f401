"""Mail that is really sent: to a mail server on this machine."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agentmem.errors import ConfigurationError, MailUnavailable
from agentmem.foundation.mail.console import ConsoleMailer
from agentmem.foundation.mail.open import open_mailer
from agentmem.foundation.mail.port import Mail
from agentmem.foundation.mail.smtp import SMTP, Relay, SmtpMailer
from agentmem.foundation.resilience.guarded import Guarded
from agentmem.settings import Settings
from tests.support.mailbox import PASSWORD, USER, smtp_server

MAIL = Mail(to="ada@example.com", subject="Grüße", text="the secret: amt_1\n")


def mailer(url: str) -> SmtpMailer:
    return SmtpMailer(Relay.of(url), "AgentMem <agentmem@example.com>", Guarded(SMTP))


@pytest.fixture
def server_side(tmp_path: Path) -> ssl.SSLContext:
    """A certificate for this machine, by nobody that others trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "server.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(certificate.public_bytes(Encoding.PEM) + private)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context


async def test_mail_arrives_as_it_was_written() -> None:
    async with smtp_server() as (sink, port):
        await mailer(f"smtp+cleartext://127.0.0.1:{port}").send(MAIL)

    (message,) = sink.messages
    assert message["To"] == "ada@example.com"
    assert message["Subject"] == "Grüße"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content().splitlines() == MAIL.text.splitlines()


async def test_nothing_is_sent_in_clear_unless_the_url_says_so() -> None:
    async with smtp_server() as (sink, port):
        with pytest.raises(MailUnavailable, match="did not take"):
            await mailer(f"smtp://127.0.0.1:{port}").send(MAIL)
        with pytest.raises(MailUnavailable):
            await mailer(f"smtps://127.0.0.1:{port}").send(MAIL)

    assert sink.messages == []


async def test_server_whose_certificate_nobody_vouches_for_is_given_nothing(server_side: ssl.SSLContext) -> None:
    async with smtp_server(server_side) as (sink, port):
        relay = mailer(f"smtp://127.0.0.1:{port}")
        with pytest.raises(MailUnavailable, match="SSLCertVerificationError"):
            await relay.send(MAIL)

    assert sink.messages == []


async def test_mail_is_encrypted_to_a_server_that_is_vouched_for(
    server_side: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    async with smtp_server(server_side, auth=True) as (sink, port):
        await mailer(f"smtp://{USER}:{PASSWORD}@127.0.0.1:{port}").send(MAIL)
        with pytest.raises(MailUnavailable, match="SMTPAuthenticationError") as refused:
            await mailer(f"smtp://{USER}:wrong@127.0.0.1:{port}").send(MAIL)

    assert sink.encrypted == [True]
    assert "wrong" not in str(refused.value)


async def test_address_that_the_server_refuses_is_no_failure_of_the_server() -> None:
    async with smtp_server() as (sink, port):
        sink.refusing = "550 no such mailbox"
        relay = mailer(f"smtp+cleartext://127.0.0.1:{port}")
        for _ in range(10):
            await relay.send(MAIL)
        sink.refusing = None
        await relay.send(MAIL)

    assert len(sink.messages) == 1


@pytest.mark.parametrize("url", ["", "http://mail.example", "smtp://", "smtp://mail.example/path", "smtp://h:port"])
def test_url_that_is_none_of_a_mail_server_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigurationError, match="URL of the mail server"):
        Relay.of(url)


def test_password_of_a_relay_is_not_shown() -> None:
    relay = Relay.of("smtps://user:p%40ss@mail.example")

    assert (relay.user, relay.password, relay.port) == ("user", "p@ss", 465)
    assert "p@ss" not in repr(relay)


async def test_console_shows_a_mail_to_its_developer(capsys: pytest.CaptureFixture[str]) -> None:
    opened = open_mailer(Settings.load(mail_url="console:"), Guarded(SMTP))
    assert isinstance(opened, ConsoleMailer)
    await opened.send(MAIL)

    assert MAIL.text in capsys.readouterr().err
    assert open_mailer(Settings.load(), Guarded(SMTP)) is None


def test_production_sends_no_secret_in_clear() -> None:
    for url in ("console:", "smtp+cleartext://127.0.0.1"):
        with pytest.raises(ConfigurationError, match="mail_url"):
            Settings.load(environment="production", mail_url=url)
