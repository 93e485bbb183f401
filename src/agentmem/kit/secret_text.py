"""Secrets that people and programs carry: ``<prefix>_<ids>_<secret><checksum>``.

The ids find what the secret is for, 43 base 62 digits hold 256 random bits, and six are the CRC-32 of all that goes
before them: a mistyped or invented secret is refused without a look at the database.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Final
from uuid import UUID
from zlib import crc32

from agentmem.kit.base62 import decode_base62, encode_base62

_ID_LENGTH: Final = 22
_SECRET_LENGTH: Final = 43
_CHECKSUM_LENGTH: Final = 6
_SECRET_BITS: Final = 256


def new_secret_text(prefix: str, ids: Sequence[UUID]) -> str:
    """Make a secret of 256 random bits for what these ids name."""
    named = "".join(encode_base62(each.int, _ID_LENGTH) for each in ids)
    body = f"{prefix}_{named}_{encode_base62(secrets.randbits(_SECRET_BITS), _SECRET_LENGTH)}"
    return body + _checksum(body)


def ids_of(prefix: str, text: str, count: int) -> list[UUID] | None:
    """Read the ids of a secret; ``None`` unless prefix, length, characters and checksum are right."""
    pattern = rf"{prefix}_([0-9A-Za-z]{{{_ID_LENGTH * count}}})_[0-9A-Za-z]{{{_SECRET_LENGTH + _CHECKSUM_LENGTH}}}"
    found = re.fullmatch(pattern, text)
    if found is None or _checksum(text[:-_CHECKSUM_LENGTH]) != text[-_CHECKSUM_LENGTH:]:
        return None
    numbers = [decode_base62(found[1][at : at + _ID_LENGTH]) for at in range(0, len(found[1]), _ID_LENGTH)]
    return [UUID(int=number) for number in numbers] if all(number < 1 << 128 for number in numbers) else None


def _checksum(body: str) -> str:
    return encode_base62(crc32(body.encode()), _CHECKSUM_LENGTH)
