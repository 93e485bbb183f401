"""Signatures of others: checked here, never made."""

from __future__ import annotations

import base64
import binascii

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from agentmem.errors import ConfigurationError


def is_signed(public_key: bytes, signature: str, message: bytes) -> bool:
    """Tell whether a message was signed (ECDSA, P-256, SHA-256; the signature as base64 of its DER form).

    Raises :class:`ConfigurationError` unless ``public_key`` is such a key as PEM.
    """
    try:
        key = load_pem_public_key(public_key)
    except ValueError:
        raise ConfigurationError("The public key for reports of leaked keys is not PEM.") from None
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise ConfigurationError("The public key for reports of leaked keys is not of the curve P-256.")
    try:
        key.verify(base64.b64decode(signature, validate=True), message, ECDSA(SHA256()))
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True
