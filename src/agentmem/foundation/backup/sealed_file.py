"""Encryption of backups with age, to several recipients; any program that speaks age v1 opens them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, BinaryIO, Final

from agentmem.errors import ConfigurationError, DecryptionFailed, IntegrityError

try:
    import pyrage

    _INSTALLED = True
except ModuleNotFoundError:  # no build for this C library: said when a backup is made or opened
    _INSTALLED = False

_CHUNK: Final = 1 << 20


class Measured:
    """Passes on what is written, or read, and keeps its length and its SHA-256."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        """The SHA-256 of what went through, in hexadecimal."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> int:
        """Write all of it."""
        self._note(data)
        self._file.write(data)
        return len(data)

    def read(self, amount: int = -1) -> bytes:
        """Read so many bytes, or all."""
        data = self._file.read(amount)
        self._note(data)
        return data

    def flush(self) -> None:
        """Pass everything on."""
        self._file.flush()

    def _note(self, data: bytes) -> None:
        self._hash.update(data)
        self.size += len(data)


def check_recipients(recipients: Sequence[str]) -> None:
    """Refuse what is no public key of age, and an empty list; raises :class:`ConfigurationError`."""
    _recipients(recipients)


def encrypt(source: IO[bytes], target: Measured, recipients: Sequence[str]) -> None:
    """Encrypt a stream to every recipient."""
    pyrage.encrypt_io(source, target, _recipients(recipients))


def decrypt(source: IO[bytes] | Measured, target: IO[bytes], identity: str) -> None:
    """Decrypt a stream with a secret key; raises :class:`DecryptionFailed` for a wrong key or a changed byte.

    What was decrypted before a changed byte has been written by then.
    """
    _need_age()
    try:
        opened = pyrage.x25519.Identity.from_str(identity.strip())
    except pyrage.IdentityError:
        raise ConfigurationError("AGENTMEM_BACKUP_IDENTITY is no secret key of age.") from None
    try:
        pyrage.decrypt_io(source, target, [opened])
    except pyrage.DecryptError as error:
        raise DecryptionFailed(
            f"The backup does not open: {error}.", hint="Use the key of one of its recipients."
        ) from None


def decrypt_to_nothing(source: BinaryIO, identity: str | None, sha256: str) -> None:
    """Check the digest of an encrypted file, and that all of it decrypts if there is a secret key.

    Raises :class:`IntegrityError` or :class:`DecryptionFailed`.
    """
    read = Measured(source)
    try:
        if identity is not None:
            with Path(os.devnull).open("wb") as nowhere:
                decrypt(read, nowhere, identity)
    finally:
        while read.read(_CHUNK):
            pass
        if read.digest != sha256:
            raise IntegrityError("The backup is not the file that was written: its digest differs.")


def _recipients(recipients: Sequence[str]) -> list[pyrage.x25519.Recipient]:
    if not recipients:
        raise ConfigurationError(
            "Backups have no recipient.", hint="Make a key with age-keygen, and set AGENTMEM_BACKUP_RECIPIENTS."
        )
    _need_age()
    try:
        return [pyrage.x25519.Recipient.from_str(recipient) for recipient in recipients]
    except pyrage.RecipientError:
        raise ConfigurationError("A recipient of backups is no public key of age (age1…).") from None


def _need_age() -> None:
    if not _INSTALLED:
        raise ConfigurationError(
            "Backups need pyrage, which is not installed here.", hint="Make and open them with the slim image."
        )
