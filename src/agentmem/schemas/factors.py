"""Second factors: what an account has beside its password, and what is shown of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal, Self
from uuid import UUID

from pydantic import Field, JsonValue, StrictBool, model_validator

from agentmem.schemas.base import Schema, Text
from agentmem.schemas.organizations import Name

LONGEST_CODE: Final = 64
Code = Annotated[Text, Field(min_length=6, max_length=LONGEST_CODE)]
Receiver = Annotated[Text, Field(pattern=r"^\+[1-9][0-9]{6,14}$")]
"""A telephone number as E.164 has it."""
Credential = dict[str, JsonValue]
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

    code: Annotated[Code, Field(repr=False)]
    end_other_sessions: StrictBool = False


class NewPasskey(Schema):
    """A passkey to add: what the browser made of the options, and a name to tell it from others."""

    name: Name
    credential: Annotated[Credential, Field(repr=False)]
    end_other_sessions: StrictBool = False


class NewReceiver(Schema):
    """Where codes are to be sent: a telephone number; mail goes to the account's own address alone."""

    kind: Literal[FactorKind.EMAIL, FactorKind.SMS]
    receiver: Annotated[Receiver | None, Field(repr=False)] = None


class ReceiverCode(FactorCode):
    """A code that was sent to a new receiver."""

    kind: Literal[FactorKind.EMAIL, FactorKind.SMS]


class FactorRemoval(Schema):
    """Whether all other sessions of the account are to end with the removal of a factor."""

    end_other_sessions: bool = False


class FactorReset(Schema):
    """Which factors of an account are to be removed; all of them if no kind is named."""

    factor: FactorKind | None = None


class RecoveryCodes(Schema):
    """New recovery codes, shown this once; those that were made before work no more."""

    codes: Annotated[list[str], Field(repr=False)]


class Ceremony(Schema):
    """What a browser is asked: the argument ``publicKey`` of ``navigator.credentials``, as JSON."""

    public_key: dict[str, JsonValue]


class ChallengeStatus(StrEnum):
    """What a sign-in waits for."""

    FACTOR = "factor_required"
    """A factor that the account has."""
    ENROLMENT = "enrolment_required"
    """A factor that the account has not: until it has added one, it may do nothing else."""


Challenge = Annotated[Text, Field(min_length=1, max_length=128)]


class FactorRequired(Schema):
    """A sign-in that is not done: one of the factors is needed, within ten minutes, under this challenge."""

    status: Literal[ChallengeStatus.FACTOR, ChallengeStatus.ENROLMENT]
    challenge: Annotated[str, Field(repr=False)]
    factors: list[FactorKind]
    organization_id: UUID


class FactorChoice(Schema):
    """The factor that a sign-in is to go on with; ``receiver`` is the telephone number of a new one of the kind sms."""

    challenge: Annotated[Challenge, Field(repr=False)]
    kind: FactorKind
    receiver: Annotated[Receiver | None, Field(repr=False)] = None


class FactorBegun(Schema):
    """What the chosen factor needs: of a new authenticator app its secret, of a passkey what the browser is asked.

    A code that is sent is on its way; other kinds need nothing.
    """

    totp: TotpEnrolment | None = None
    public_key: dict[str, JsonValue] | None = None
    sent: bool = False


class FactorProof(Schema):
    """A factor that is shown to a sign-in: a code, or what the browser made of a passkey (a new one has a name)."""

    challenge: Annotated[Challenge, Field(repr=False)]
    kind: FactorKind
    code: Annotated[Code | None, Field(repr=False)] = None
    credential: Annotated[Credential | None, Field(repr=False)] = None
    name: Name = "passkey"
    cookies: StrictBool = False

    @model_validator(mode="after")
    def _is_of_its_kind(self) -> Self:
        shown, hidden = ("credential", "code") if self.kind is FactorKind.PASSKEY else ("code", "credential")
        if getattr(self, shown) is None or getattr(self, hidden) is not None:
            raise ValueError(f"a factor of the kind {self.kind.value} is shown by {shown}")
        return self


class PasskeySignIn(Schema):
    """What the browser made of a passkey that signs in by itself; the rest is as with a password."""

    credential: Annotated[Credential, Field(repr=False)]
    organization_id: UUID | None = None
    cookies: StrictBool = False
