"""Identifiers: each kind of id is a type of its own, so that one cannot be passed for another."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from datetime import datetime
from typing import NewType

AccountId = NewType("AccountId", uuid.UUID)
OrganizationId = NewType("OrganizationId", uuid.UUID)
MemoryId = NewType("MemoryId", uuid.UUID)
KeyId = NewType("KeyId", uuid.UUID)
JobId = NewType("JobId", uuid.UUID)
PrincipalId = NewType("PrincipalId", str)
Place = NewType("Place", int)


def uuid7() -> uuid.UUID:
    """Make a UUID that sorts by the time it was made, to a quarter of a microsecond (UUIDv7, RFC 9562 section 6.2)."""
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = (nanoseconds << 12) // 1_000_000
    random = int.from_bytes(os.urandom(8)) & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | random)


def uuid7_again(moment: datetime, name: str) -> uuid.UUID:
    """Make the one UUIDv7 that belongs to a moment and a name: the same whenever it is asked for."""
    milliseconds = int(moment.timestamp() * 1000)
    digest = int.from_bytes(hashlib.sha256(f"{moment.isoformat()} {name}".encode()).digest()[:10])
    fraction, random = digest >> 64 & 0xFFF, digest & ~(0x3 << 62) & (1 << 64) - 1 | 0x2 << 62
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | random)
