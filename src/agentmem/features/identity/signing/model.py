"""When each key that signs access tokens is published, signs, and checks; pure.

A key is published ahead of its first use, for as long as others may keep the list of keys; it checks until the last
token that it signed is over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from agentmem.foundation.tokens.access import LEEWAY
from agentmem.foundation.tokens.keys import PublicKey

PUBLISHED_AHEAD: Final = timedelta(hours=1)
"""How long a key is published before it signs; whoever keeps the list for less never misses one."""
LONGEST_TOKEN: Final = timedelta(hours=1)
"""The longest that an access token may last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyTimes:
    """When a key begins to sign, and until when what it signed is good; absent while its end is not known."""

    key_id: UUID
    signs_from: datetime
    checks_until: datetime | None

    def checks_at(self, moment: datetime) -> bool:
        """Whether tokens of this key are good at a moment."""
        return self.checks_until is None or moment < self.checks_until


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownKey:
    """A key that is published, with its public half."""

    times: KeyTimes
    public: PublicKey


def signing_at(keys: Iterable[KeyTimes], moment: datetime) -> KeyTimes | None:
    """Choose the key that signs at a moment: of those that have begun and still check, the last to begin."""
    begun = [key for key in keys if key.signs_from <= moment and key.checks_at(moment)]
    return max(begun, key=lambda key: (key.signs_from, key.key_id.int), default=None)


def is_due(keys: Iterable[KeyTimes], now: datetime, lasts: timedelta) -> bool:
    """Whether it is time to publish the next key: the last one will have signed long enough when that begins.

    The first is made by whoever signs in first, not here.
    """
    last = max((key.signs_from for key in keys if key.checks_until is None), default=None)
    return last is not None and now >= last + lasts - PUBLISHED_AHEAD


def end_of(successor_signs_from: datetime) -> datetime:
    """Give until when a key checks whose successor signs from a moment on."""
    return successor_signs_from + LONGEST_TOKEN + timedelta(seconds=2 * LEEWAY)
