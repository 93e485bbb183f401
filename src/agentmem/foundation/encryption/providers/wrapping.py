"""The bytes of a key that was wrapped by AES-256-GCM; specified in ``docs/reference/encryption-format.md``."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from agentmem.errors import DecryptionFailed
from agentmem.foundation.encryption.providers.port import KeyContext
from agentmem.foundation.encryption.secret import KEY_BYTES

NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16

_HEADER_BYTES: Final = 18
_BODY: Final = _HEADER_BYTES + NONCE_BYTES
_WRAPPED_BYTES: Final = _BODY + KEY_BYTES + TAG_BYTES
_VERSION_AND_ALGORITHM: Final = b"\x01\x01"


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """Everything of a wrapped key but its ciphertext: ``associated_data`` binds it to its context."""

    header: bytes
    master_id: UUID
    nonce: bytes = field(repr=False)
    associated_data: bytes = field(repr=False)

    def put(self, sealed: bytes) -> bytes:
        """Give the wrapped key, with the ciphertext and its tag."""
        return self.header + self.nonce + sealed


def new_envelope(master_id: UUID, context: KeyContext) -> Envelope:
    """Prepare the wrapping of a key by a master key, with a fresh nonce."""
    return _envelope(_VERSION_AND_ALGORITHM + master_id.bytes, os.urandom(NONCE_BYTES), context)


def take_apart(wrapped: bytes, context: KeyContext) -> tuple[Envelope, bytes]:
    """Give the envelope of a wrapped key and its ciphertext; raises ``DecryptionFailed`` if it is none."""
    header = wrapped[:_HEADER_BYTES]
    if len(wrapped) != _WRAPPED_BYTES or not header.startswith(_VERSION_AND_ALGORITHM):
        raise DecryptionFailed(f"The wrapped key {context.key_id} is damaged, or of a format this version cannot read.")
    return _envelope(header, wrapped[_HEADER_BYTES:_BODY], context), wrapped[_BODY:]


def does_not_open(context: KeyContext) -> DecryptionFailed:
    """Make the error about a wrapped key that is not what was wrapped for its context."""
    return DecryptionFailed(
        f"The wrapped key {context.key_id} does not open: its row was changed, or belongs to another organization.",
        hint="Restore the row of encryption_keys from a backup.",
    )


def _envelope(header: bytes, nonce: bytes, context: KeyContext) -> Envelope:
    purpose = context.purpose.encode()
    bound = context.organization_id.bytes + context.key_id.bytes + bytes((len(purpose),)) + purpose
    return Envelope(header=header, master_id=UUID(bytes=header[2:]), nonce=nonce, associated_data=header + bound)
