"""Keys that signatures of requests are checked with."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agentmem.schemas.request_keys import SignatureAlgorithm


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyingKey:
    """A public key of Ed25519 as its 32 bytes, or the secret of an HMAC."""

    algorithm: SignatureAlgorithm
    material: bytes = field(repr=False)


def public_half(seed: bytes) -> bytes:
    """Give the public key of an Ed25519 key of which this is the private one (RFC 8032)."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
