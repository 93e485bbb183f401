"""Signatures of manifests: Ed25519, with a key that stays on the machine that makes backups."""

from __future__ import annotations

import base64
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from agentmem.errors import ConfigurationError, IntegrityError


def open_signing_key(path: Path) -> Ed25519PrivateKey:
    """Read the key that signs, or make one, which only its owner reads."""
    if not path.exists():
        fresh = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(fresh)
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except ValueError:
        raise ConfigurationError(f"{path} holds no key that signs backups.") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"The key in {path} is not one of Ed25519.")
    return key


def signer_of(key: Ed25519PrivateKey) -> str:
    """Name a key by its public half, in base64."""
    return base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def sign(key: Ed25519PrivateKey, message: bytes) -> bytes:
    """Sign a manifest."""
    return key.sign(message)


def check_signature(signers: Collection[str], signature: bytes, message: bytes) -> None:
    """Raise :class:`IntegrityError` unless one of these public keys has signed the message."""
    for signer in signers:
        try:
            Ed25519PublicKey.from_public_bytes(base64.b64decode(signer)).verify(signature, message)
        except (InvalidSignature, ValueError):
            continue
        return
    raise IntegrityError(
        "The manifest is signed by none of the keys that are trusted, or was changed.",
        hint="Name the signer's public key in AGENTMEM_BACKUP_SIGNERS.",
    )
