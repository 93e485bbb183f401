"""Keyed hashes: how sealed text is found by its words and compared without being opened.

The derivation and the exact input of each hash are specified in ``docs/reference/encryption-format.md``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from agentmem.foundation.encryption.secret import KEY_BYTES, SecretKey
from agentmem.kit.ids import OrganizationId

DIGEST_BYTES: Final = 16
"""Length of a content digest."""

_TERM_INFO: Final = b"agentmem/1/term-hash"
_DIGEST_INFO: Final = b"agentmem/1/content-digest"
_CREDENTIAL_INFO: Final = b"agentmem/1/credential"
_IDENTIFIER_INFO: Final = b"agentmem/1/identifier"
_SUBJECT_INFO: Final = b"agentmem/1/subject"
_BLIND_INFO: Final = b"agentmem/1/blind-index"
_ABSENT: Final = b"\x00"
_PRESENT: Final = b"\x01"
_pack_length: Final = struct.Struct(">I").pack
_first_int64: Final = struct.Struct(">q").unpack_from


class IndexKeys:
    """The keys of an organization's hashes, derived from its index secret by HKDF-SHA256.

    They do not depend on the data keys: rotating those changes no hash. Text is encoded as UTF-8, and a lone surrogate
    as the three bytes that UTF-8 would give it, so that no text is refused here and its words never reach an error.
    """

    __slots__ = ("_blind", "_credential", "_digest", "_identifier", "_subject", "_term", "organization_id")

    def __init__(self, *, organization_id: OrganizationId, secret: SecretKey) -> None:
        self.organization_id = organization_id
        self._term = _derived_hmac(organization_id, secret, _TERM_INFO)
        self._digest = _derived_hmac(organization_id, secret, _DIGEST_INFO)
        self._credential = _derived_hmac(organization_id, secret, _CREDENTIAL_INFO)
        self._identifier = _derived_hmac(organization_id, secret, _IDENTIFIER_INFO)
        self._subject = _derived_hmac(organization_id, secret, _SUBJECT_INFO)
        self._blind = _derived_hmac(organization_id, secret, _BLIND_INFO)

    def term_hash(self, term: str) -> int:
        """Hash a term to a signed 64-bit integer: the head of HMAC-SHA256, big endian."""
        return self.term_hashes((term,))[0]

    def term_hashes(self, terms: Iterable[str]) -> list[int]:
        """Hash terms, in their order; about half a microsecond each."""
        keyed = self._term.copy
        hashes = []
        for term in terms:
            mac = keyed()
            mac.update(term.encode("utf-8", "surrogatepass"))
            hashes.append(_first_int64(mac.finalize())[0])
        return hashes

    def content_digest(self, scope: Sequence[str | None], text: str) -> bytes:
        """Digest a text within its scope to 16 bytes: equal for equal texts in equal scopes, else different.

        ``scope`` is a fixed list of parts (an absent one is ``None``, which differs from the empty text).
        """
        mac = self._digest.copy()
        mac.update(_pack_length(len(scope)))
        for part in scope:
            mac.update(_ABSENT if part is None else _PRESENT + _framed(part))
        mac.update(_framed(text))
        return mac.finalize()[:DIGEST_BYTES]

    def credential_mac(self, credential: str) -> bytes:
        """Authenticate a credential to 32 bytes, which is all that is stored of it."""
        return _whole(self._credential, credential)

    def identifier_mac(self, identifier: str) -> bytes:
        """Authenticate what somebody is known by, such as an e-mail address, to 32 bytes by which it is found."""
        return _whole(self._identifier, identifier)

    def subject(self, user_id: str) -> bytes:
        """Name a user by 16 bytes that say nothing without the key."""
        mac = self._subject.copy()
        mac.update(user_id.encode("utf-8", "surrogatepass"))
        return mac.finalize()[:DIGEST_BYTES]

    def blind(self, key: str, value: str) -> str:
        """Hash a value of sealed metadata, bound to the key that it stands under, to 32 hexadecimal digits."""
        mac = self._blind.copy()
        mac.update(_framed(key) + _framed(value))
        return mac.finalize()[:DIGEST_BYTES].hex()

    def __repr__(self) -> str:
        return f"IndexKeys(organization_id={self.organization_id}, keys=***)"


def _derived_hmac(organization_id: OrganizationId, secret: SecretKey, info: bytes) -> HMAC:
    derived = SecretKey(bytearray(KEY_BYTES))
    HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=organization_id.bytes, info=info).derive_into(
        secret.reveal(), derived.reveal()
    )
    mac = HMAC(derived.reveal(), SHA256())
    derived.wipe()
    return mac


def _whole(keyed: HMAC, text: str) -> bytes:
    mac = keyed.copy()
    mac.update(text.encode("utf-8", "surrogatepass"))
    return mac.finalize()


def _framed(text: str) -> bytes:
    encoded = text.encode("utf-8", "surrogatepass")
    return _pack_length(len(encoded)) + encoded
