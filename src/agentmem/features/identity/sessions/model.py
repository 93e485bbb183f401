"""Sessions and refresh families as values, and the rules of both; pure.

A token that is presented to a family is judged by what the family's row keeps:

==============================  =====================================  ==========
the token is                    and                                    verdict
==============================  =====================================  ==========
any                             the family ended, or is past its time  ended
the current one                                                        rotate
the one before                  within the grace of the rotation       reissue
the one before                  the grace is over                      reused
older, or none of the family's                                         reused
==============================  =====================================  ==========

A reissue makes a new current token and leaves the one before, and the moment of its rotation, as they are: the grace
never slides, and never reaches further back than one token.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from agentmem.kit.ids import AccountId, OrganizationId, SessionId

ENDED: Final = "ended"
"""The channel on which sessions that ended are named, several with a space between them."""
SHARED_SECONDS: Final = 0.2
"""How long what one server has looked up of a session serves the others, from before the look.

Together with what each of them believes it for, that is less than a second.
"""
TOUCH_AFTER: Final = timedelta(minutes=1)
"""How old the note of a session's last use may be before a use is written down again."""


class Verdict(StrEnum):
    """What becomes of a refresh token that is presented."""

    ENDED = "ended"
    ROTATE = "rotate"
    REISSUE = "reissue"
    REUSED = "reused"


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """Where a session was opened from; stored sealed."""

    address: str | None = None
    agent: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """A session to open: where the account will act, how it signed in, and from where."""

    organization_id: OrganizationId
    member_id: UUID
    methods: tuple[str, ...]
    level: str
    device: Device = Device()
    replaces: SessionId | None = None
    """The session that this one takes the place of: whoever signs in again gets a new id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredSession:
    """A session as authentication needs it."""

    session_id: SessionId
    account_id: AccountId
    organization_id: OrganizationId
    member_id: UUID
    methods: tuple[str, ...]
    level: str
    authenticated_at: datetime
    last_seen_at: datetime
    idle: timedelta
    expires_at: datetime
    ended: bool

    def is_good_at(self, moment: datetime) -> bool:
        """Whether it was neither ended nor left alone for too long, and its time is not over."""
        return not self.ended and moment < min(self.expires_at, self.last_seen_at + self.idle)

    def is_stale_at(self, moment: datetime) -> bool:
        """Whether a use now is to be written down."""
        return moment - self.last_seen_at >= TOUCH_AFTER


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """The refresh tokens of a session: the current one and the one before, as keyed hashes."""

    family_id: UUID
    session_id: SessionId
    account_id: AccountId
    current_mac: bytes = field(repr=False)
    previous_mac: bytes | None = field(repr=False)
    rotated_at: datetime
    generation: int
    grace: timedelta
    idle: timedelta
    idle_until: datetime
    expires_at: datetime
    ended: bool


def copy_key(session_id: UUID) -> str:
    """Name what the shared state holds of a session for a moment; the id itself is not in it."""
    return f"session:{hashlib.sha256(session_id.bytes).hexdigest()}"


def holds(family: Family, mac: bytes) -> bool:
    """Tell whether a token with this hash is the family's current one or the one before."""
    current, previous = (hmac.compare_digest(kept or b"", mac) for kept in (family.current_mac, family.previous_mac))
    return current or previous


def judge(family: Family, mac: bytes, now: datetime) -> Verdict:
    """Say what becomes of a token with this hash; the comparisons take the same time for all."""
    is_current = hmac.compare_digest(family.current_mac, mac)
    is_previous = hmac.compare_digest(family.previous_mac or b"", mac)
    if family.ended or now >= min(family.expires_at, family.idle_until):
        return Verdict.ENDED
    if is_current:
        return Verdict.ROTATE
    if is_previous and now <= family.rotated_at + family.grace:
        return Verdict.REISSUE
    return Verdict.REUSED
