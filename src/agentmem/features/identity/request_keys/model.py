"""Keys that sign requests, as values; pure."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Final

from agentmem.features.identity.credential import ID_LENGTH
from agentmem.features.identity.model import key_number
from agentmem.foundation.encryption.seal import Keyring
from agentmem.foundation.signatures.keys import VerifyingKey, public_half
from agentmem.kit.base62 import ALPHABET, encode_base62
from agentmem.schemas.request_keys import KEY_BYTES, NewRequestKey, SignatureAlgorithm, from_text, write_key

MOST_REQUEST_KEYS: Final = 10
"""Keys that may sign the requests of one API key at a time."""
TABLE: Final = "request_keys"
COLUMN: Final = "sealed"
_VERSION: Final = 1
"""Of a row, which is never changed but for its end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """What is stored of a new key, and what its holder gets: of a key pair of their own, nothing."""

    request_key_id: str
    public_key: bytes | None
    sealed: bytes | None = field(repr=False)
    text: str | None = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredRequestKey:
    """What checking a signature needs of a key's row."""

    request_key_id: str
    algorithm: SignatureAlgorithm
    public_key: bytes | None
    sealed: bytes | None = field(repr=False)

    def opened(self, keyring: Keyring) -> VerifyingKey:
        """Give the key that signatures are checked with."""
        if self.public_key is not None:
            return VerifyingKey(algorithm=self.algorithm, material=self.public_key)
        opened = keyring.opener(TABLE, COLUMN)(key_number(self.request_key_id), _VERSION, self.sealed or b"")
        return VerifyingKey(algorithm=self.algorithm, material=opened)


def material_of(new: NewRequestKey, keyring: Keyring) -> Material:
    """Make what a new key is made of, or take the public half of one that its holder has made."""
    request_key_id = encode_base62(secrets.randbelow(len(ALPHABET) ** ID_LENGTH), ID_LENGTH)
    if new.public_key is not None:
        public_key = from_text(new.public_key)
        return Material(request_key_id=request_key_id, public_key=public_key, sealed=None, text=None)
    secret = secrets.token_bytes(KEY_BYTES)
    text = write_key(new.algorithm, request_key_id, secret)
    if new.algorithm is SignatureAlgorithm.ED25519:
        return Material(request_key_id=request_key_id, public_key=public_half(secret), sealed=None, text=text)
    sealed = keyring.sealer(TABLE, COLUMN)(key_number(request_key_id), _VERSION, secret)
    return Material(request_key_id=request_key_id, public_key=None, sealed=sealed, text=text)
