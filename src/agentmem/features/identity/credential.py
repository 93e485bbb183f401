"""The text of an API key: ``amk_live_<id>_<secret><checksum>``.

Twelve base 62 digits find the key's row, 43 hold 256 random bits, and six are the CRC-32 of all that goes before them:
a mistyped or invented key is refused without a look at the database, and a scanner for leaked keys finds no false ones.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

from agentmem.kit.base62 import ALPHABET, decode_base62, encode_base62
from agentmem.schemas.keys import KeyEnvironment

ID_LENGTH: Final = 12
SECRET_BITS: Final = 256
SECRET_LENGTH: Final = 43
CHECKSUM_LENGTH: Final = 6
SHOWN_LENGTH: Final = 4

PATTERN: Final = re.compile(
    rf"amk_(live|test)_([0-9A-Za-z]{{{ID_LENGTH}}})_[0-9A-Za-z]{{{SECRET_LENGTH + CHECKSUM_LENGTH}}}"
)
"""What every API key looks like; secret scanners may be given it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Credential:
    """An API key as its holder has it; never stored, and shown once."""

    environment: KeyEnvironment
    key_id: str
    text: str = field(repr=False)

    @property
    def last_four(self) -> str:
        """The last characters, by which people tell their keys apart; they belong to the checksum."""
        return self.text[-SHOWN_LENGTH:]


def new_credential(environment: KeyEnvironment) -> Credential:
    """Make a key of 256 random bits with a random id."""
    key_id = encode_base62(secrets.randbelow(len(ALPHABET) ** ID_LENGTH), ID_LENGTH)
    secret = encode_base62(secrets.randbits(SECRET_BITS), SECRET_LENGTH)
    body = f"amk_{environment.value}_{key_id}_{secret}"
    return Credential(environment=environment, key_id=key_id, text=body + checksum(body))


def read_credential(text: str) -> Credential | None:
    """Read a key; ``None`` unless prefix, length, characters and checksum are right."""
    found = PATTERN.fullmatch(text)
    if found is None or checksum(text[:-CHECKSUM_LENGTH]) != text[-CHECKSUM_LENGTH:]:
        return None
    if decode_base62(text[-CHECKSUM_LENGTH - SECRET_LENGTH : -CHECKSUM_LENGTH]) >= 1 << SECRET_BITS:
        return None
    return Credential(environment=KeyEnvironment(found[1]), key_id=found[2], text=text)


def checksum(body: str) -> str:
    """Give the six base 62 digits that end the text of a credential: the CRC-32 of all before them."""
    return encode_base62(crc32(body.encode()), CHECKSUM_LENGTH)
