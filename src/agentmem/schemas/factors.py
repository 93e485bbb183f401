"""Second factors: what an account has beside its password, and what is shown of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

from pydantic import Field, JsonValue

from agentmem.schemas.base import Schema, Text
from agentmem.schemas.organizations import Name

LONGEST_CODE: Final = 64
Code = Annotated[Text, Field(min_length=6, max_length=LONGEST_CODE, repr=False)]
Credential = Annotated[dict[str, JsonValue], Field(repr=False)]
"""A ``PublicKeyCredential`` of a browser, as its ``toJSON()`` writes it."""


class FactorKind(StrEnum):
    """What proves who somebody is, beside a password."""

    TOTP = "totp"
    """Codes of an authenticator app."""
    PASSKEY = "passkey"
    """A key that a device, or the one who looks after it, holds."""
    RECOVERY_CODE = "recovery_code"
    """A code that was written down, good for one time."""
    EMAIL = "email"
    """A code sent to the account's address."""
    SMS = "sms"
    """A code sent to a telephone."""


SENT: Final = frozenset({FactorKind.EMAIL, FactorKind.SMS})
"""Kinds whose codes are sent; off unless the server is set up to send them."""


class Passkey(Schema):
    """A passkey of an account; its private key never leaves the device."""

    id: UUID
    name: str
    created_at: datetime
    last_used_at: datetime | None = None


class Factors(Schema):
    """The second factors of an account."""

    totp: bool
    passkeys: list[Passkey]
    email: bool
    sms: bool
    recovery_codes_left: int


class TotpEnrolment(Schema):
    """A new secret of an authenticator app, which is shown this once and works from its confirmation on.

    ``uri`` is what the QR code ``qr_svg`` says; ``secret`` is for those who cannot scan it.
    """

    secret: Annotated[str, Field(repr=False)]
    uri: Annotated[str, Field(repr=False)]
    qr_svg: Annotated[str, Field(repr=False)]


class FactorCode(Schema):
    """A code, and whether all other sessions of the account are to end with what it does."""

    code: Code
    end_other_sessions: bool = False


class NewPasskey(Schema):
    """A passkey to add: what the browser made of the options, and a name to tell it from others."""

    name: Name
    credential: Credential
    end_other_sessions: bool = False


class RecoveryCodes(Schema):
    """New recovery codes, shown this once; those that were made before work no more."""

    codes: Annotated[list[str], Field(repr=False)]


class Ceremony(Schema):
    """What a browser is asked: the argument ``publicKey`` of ``navigator.credentials``, as JSON."""

    public_key: dict[str, JsonValue]
