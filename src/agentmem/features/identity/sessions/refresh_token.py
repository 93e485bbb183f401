"""The text of a refresh token: ``amr_<family>_<secret><checksum>``, in the manner of an API key.

Twenty-two base 62 digits are the id of the family, 43 hold 256 random bits, and six are the CRC-32 of all before them.
The family stands in it so that an old token is recognised as one that was used already, not as one that is unknown.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from agentmem.features.identity.credential import CHECKSUM_LENGTH, SECRET_BITS, SECRET_LENGTH, checksum
from agentmem.kit.base62 import decode_base62, encode_base62

FAMILY_LENGTH: Final = 22
PATTERN: Final = re.compile(
    rf"amr_([0-9A-Za-z]{{{FAMILY_LENGTH}}})_([0-9A-Za-z]{{{SECRET_LENGTH}}})[0-9A-Za-z]{{{CHECKSUM_LENGTH}}}"
)
"""What every refresh token looks like; secret scanners may be given it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RefreshToken:
    """A refresh token as its holder has it; never stored, and shown once."""

    family_id: UUID
    text: str = field(repr=False)


def new_refresh_token(family_id: UUID) -> RefreshToken:
    """Make a token of 256 random bits for a family."""
    secret = encode_base62(secrets.randbits(SECRET_BITS), SECRET_LENGTH)
    body = f"amr_{encode_base62(family_id.int, FAMILY_LENGTH)}_{secret}"
    return RefreshToken(family_id=family_id, text=body + checksum(body))


def read_refresh_token(text: str) -> RefreshToken | None:
    """Read a token; ``None`` unless prefix, length, characters and checksum are right."""
    found = PATTERN.fullmatch(text)
    if found is None or checksum(text[:-CHECKSUM_LENGTH]) != text[-CHECKSUM_LENGTH:]:
        return None
    family, secret = decode_base62(found[1]), decode_base62(found[2])
    if family >= 1 << 128 or secret >= 1 << SECRET_BITS:
        return None
    return RefreshToken(family_id=UUID(int=family), text=text)
