"""Sealing: AES-256-GCM bound to the place where the bytes are stored.

The layout of a sealed blob and of its associated data is specified in ``docs/reference/encryption-format.md``.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NoReturn
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agentmem.errors import DecryptionFailed, InvalidInput, KeyUnavailable
from agentmem.foundation.encryption.secret import SecretKey
from agentmem.kit.ids import KeyId, OrganizationId

FORMAT_VERSION: Final = 1
AES_256_GCM: Final = 1
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
HEADER_BYTES: Final = 18
"""Version, algorithm and key id: the part of a blob that names the key and is bound as associated data."""
OVERHEAD_BYTES: Final = HEADER_BYTES + NONCE_BYTES + TAG_BYTES
"""How much longer a sealed blob is than its plaintext: 46 bytes."""

_BODY: Final = HEADER_BYTES + NONCE_BYTES
_LONGEST_NAME: Final = 255
_pack_row_version: Final = struct.Struct(">Q").pack


@dataclass(frozen=True, kw_only=True, slots=True)
class Location:
    """Where a sealed value is stored; it opens nowhere else, and for no other version of the row."""

    table: str
    column: str
    row_id: UUID
    row_version: int


class SealingKey:
    """One data key of an organization, ready to seal and open.

    The key's bytes are handed to OpenSSL and not kept here: the caller may wipe ``key`` afterwards.
    """

    __slots__ = ("_aead", "header", "key_id", "organization_id")

    def __init__(self, *, organization_id: OrganizationId, key_id: KeyId, key: SecretKey) -> None:
        self.organization_id = organization_id
        self.key_id = key_id
        self.header = bytes((FORMAT_VERSION, AES_256_GCM)) + key_id.bytes
        self._aead = AESGCM(key.reveal())

    def place(self, table: str, column: str) -> tuple[AESGCM, bytes]:
        """Give the cipher, and the part of the associated data that is the same for all rows of a column."""
        names = b"".join(_length_prefixed(name) for name in (table, column))
        return self._aead, self.header + self.organization_id.bytes + names

    def __repr__(self) -> str:
        return f"SealingKey(organization_id={self.organization_id}, key_id={self.key_id}, key=***)"


class Sealer:
    """Seals values of one column with the active key: ``sealer(row_id, row_version, plaintext)``."""

    __slots__ = ("_aead", "_header", "_prefix")

    def __init__(self, key: SealingKey, table: str, column: str) -> None:
        self._header = key.header
        self._aead, self._prefix = key.place(table, column)

    def __call__(self, row_id: UUID, row_version: int, plaintext: bytes) -> bytes:
        """Seal ``plaintext`` for version ``row_version`` (from 0) of row ``row_id``."""
        try:
            associated_data = self._prefix + row_id.bytes + _pack_row_version(row_version)
        except struct.error:
            raise InvalidInput(f"A row version lies between 0 and 2**64 - 1, this one is {row_version}.") from None
        nonce = os.urandom(NONCE_BYTES)
        return self._header + nonce + self._aead.encrypt(nonce, plaintext, associated_data)


class Opener:
    """Opens values of one column, whichever key of the organization sealed them.

    Call it as ``opener(row_id, row_version, blob)``. It is made for opening hundreds of blobs per search: one look-up,
    three slices and one call of OpenSSL each.
    """

    __slots__ = ("_keys", "_name", "_places")

    def __init__(self, keys: dict[bytes, SealingKey], table: str, column: str) -> None:
        self._keys = keys
        self._name = (table, column)
        self._places: dict[bytes, tuple[AESGCM, bytes]] = {}

    def __call__(self, row_id: UUID, row_version: int, blob: bytes) -> bytes:
        """Give the plaintext, or raise ``DecryptionFailed`` if it is not exactly what was sealed for this place."""
        place = self._places.get(blob[:HEADER_BYTES])
        if place is None or len(blob) < OVERHEAD_BYTES:
            place = self._find_place(row_id, row_version, blob)
        aead, prefix = place
        try:
            associated_data = prefix + row_id.bytes + _pack_row_version(row_version)
            return aead.decrypt(blob[HEADER_BYTES:_BODY], blob[_BODY:], associated_data)
        except (InvalidTag, struct.error):
            self._fail(row_id, row_version, "it was changed, or sealed for another place or version")

    def _find_place(self, row_id: UUID, row_version: int, blob: bytes) -> tuple[AESGCM, bytes]:
        if len(blob) < OVERHEAD_BYTES:
            self._fail(row_id, row_version, f"it has {len(blob)} bytes and the shortest blob has {OVERHEAD_BYTES}")
        if blob[0] != FORMAT_VERSION or blob[1] != AES_256_GCM:
            self._fail(row_id, row_version, f"format {blob[0]}, algorithm {blob[1]} is not known to this version")
        header = blob[:HEADER_BYTES]
        key = self._keys.get(header)
        if key is None:
            self._fail(row_id, row_version, f"its key {UUID(bytes=header[2:])} is not one of the organization's keys")
        place = self._places[header] = key.place(*self._name)
        return place

    def _fail(self, row_id: UUID, row_version: int, reason: str) -> NoReturn:
        table, column = self._name
        raise DecryptionFailed(
            f"The sealed {table}.{column} of row {row_id}, version {row_version}, does not open: {reason}.",
            hint="Restore the row and its key from the same backup.",
        ) from None


class Keyring:
    """The data keys of one organization: the active one seals, all of them open.

    It is immutable but for what it remembers about columns, and safe to share between threads and tasks.
    """

    __slots__ = ("_keys", "_openers", "_sealers", "active")

    def __init__(self, *, active: SealingKey, others: Iterable[SealingKey] = ()) -> None:
        self.active = active
        self._keys = {key.header: key for key in (*others, active)}
        if any(key.organization_id != active.organization_id for key in self._keys.values()):
            raise KeyUnavailable("The keys of a keyring belong to one organization, these belong to several.")
        self._openers: dict[tuple[str, str], Opener] = {}
        self._sealers: dict[tuple[str, str], Sealer] = {}

    def seal(self, location: Location, plaintext: bytes) -> bytes:
        """Seal one value with the active key; for many of one column take a :meth:`sealer`.

        The blob is 46 bytes longer, and differs each time: its nonce is random.
        """
        return self.sealer(location.table, location.column)(location.row_id, location.row_version, plaintext)

    def open(self, location: Location, blob: bytes) -> bytes:
        """Open one value or raise ``DecryptionFailed``; for many of one column take an :meth:`opener`."""
        return self.opener(location.table, location.column)(location.row_id, location.row_version, blob)

    def sealer(self, table: str, column: str) -> Sealer:
        """Give the function that seals values of this column."""
        sealer = self._sealers.get((table, column))
        if sealer is None:
            sealer = self._sealers[table, column] = Sealer(self.active, table, column)
        return sealer

    def opener(self, table: str, column: str) -> Opener:
        """Give the function that opens values of this column."""
        opener = self._openers.get((table, column))
        if opener is None:
            opener = self._openers[table, column] = Opener(self._keys, table, column)
        return opener

    def by_header(self) -> dict[bytes, SealingKey]:
        """Give the keys by the header of what they sealed."""
        return dict(self._keys)

    def __repr__(self) -> str:
        keys = ", ".join(str(key.key_id) for key in self._keys.values())
        return f"Keyring(organization_id={self.active.organization_id}, key_ids=[{keys}], keys=***)"


def _length_prefixed(name: str) -> bytes:
    encoded = name.encode()
    if not 0 < len(encoded) <= _LONGEST_NAME:
        raise InvalidInput(f"A table or column name has 1 to {_LONGEST_NAME} bytes, {name!r} has {len(encoded)}.")
    return bytes((len(encoded),)) + encoded
