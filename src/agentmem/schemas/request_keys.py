"""Keys that sign requests (RFC 9421): what is asked for, what is shown, and what both ends agree on."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from agentmem.schemas.base import Schema, Text
from agentmem.schemas.organizations import Name

TAG: Final = "agentmem-v1"
"""The tag of the signatures that the server looks at."""
ALWAYS_COVERED: Final = ("@method", "@target-uri")
COVERED_IF_SENT: Final = ("content-type", "content-digest", "idempotency-key", "if-match")
"""Header fields that decide what a request does: who sends one signs it."""
SKEW_SECONDS: Final = 300
"""How far the clock of who signs may be off, and how long a signature is good at most."""
NONCE_PATTERN: Final = "^[A-Za-z0-9+/=_-]{22,128}$"
"""What is different in each signature: 128 random bits or more, as hexadecimal or base64."""
KEY_BYTES: Final = 32
KEY_PATTERN: Final = re.compile(r"ams_(ed25519|hmac)_([0-9A-Za-z]{12})_([A-Za-z0-9_-]{43})")
"""What a key looks like: its algorithm, its id, and its 256 bits in base64 (RFC 4648, section 5, without padding)."""


class SignatureAlgorithm(StrEnum):
    """How a request is signed; of an ``ed25519`` key the server has the public half alone."""

    ED25519 = "ed25519"
    HMAC_SHA256 = "hmac-sha256"


_IN_TEXT: Final = {SignatureAlgorithm.ED25519: "ed25519", SignatureAlgorithm.HMAC_SHA256: "hmac"}


def to_text(value: bytes) -> str:
    """Write bytes in base64 as URLs have it, without padding."""
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    """Read 32 bytes from base64; raises ``ValueError`` for anything else."""
    value = urlsafe_b64decode(f"{text}=") if re.fullmatch(r"[A-Za-z0-9_-]{43}", text) else b""
    if len(value) != KEY_BYTES or to_text(value) != text:
        raise ValueError("is not 32 bytes in base64url without padding")
    return value


def write_key(algorithm: SignatureAlgorithm, request_key_id: str, secret: bytes) -> str:
    """Write a key as its holder keeps it."""
    return f"ams_{_IN_TEXT[algorithm]}_{request_key_id}_{to_text(secret)}"


def read_key(text: str) -> tuple[SignatureAlgorithm, str, bytes]:
    """Read a key: its algorithm, its id and its secret; raises ``ValueError`` for what is none."""
    found = KEY_PATTERN.fullmatch(text)
    if found is None:
        raise ValueError("is not a key that signs requests")
    algorithm = next(one for one, written in _IN_TEXT.items() if written == found[1])
    return algorithm, found[2], from_text(found[3])


def check_public_key(text: str) -> str:
    """Refuse what is no public key of Ed25519 by its length."""
    from_text(text)
    return text


class NewRequestKey(Schema):
    """A key that is to sign the requests of an API key.

    ``public_key`` is that of an Ed25519 key pair of your own: its 32 bytes in base64url, as ``x`` of a JWK. Without it
    the server makes the key, and keeps of an Ed25519 key its public half alone.
    """

    name: Name
    algorithm: SignatureAlgorithm = SignatureAlgorithm.ED25519
    public_key: Annotated[Text, Field(min_length=43, max_length=43), AfterValidator(check_public_key)] | None = None

    @model_validator(mode="after")
    def _public_keys_are_of_pairs(self) -> Self:
        if self.public_key is not None and self.algorithm is not SignatureAlgorithm.ED25519:
            raise ValueError("public_key is for ed25519 alone")
        return self


class RequestKey(Schema):
    """A key that signs the requests of an API key, without its secret."""

    id: str
    key_id: str
    name: str
    algorithm: SignatureAlgorithm
    public_key: str | None = None
    created_by: str
    created_at: datetime
    revoked_at: datetime | None = None


class IssuedRequestKey(Schema):
    """A new key that signs requests, with its secret, which is shown this once; none for a key pair of your own."""

    key: Annotated[str | None, Field(repr=False)]
    request_key: RequestKey
