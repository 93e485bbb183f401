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

import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from agentmem.kit.ids import AccountId, OrganizationId, SessionId

TOUCH_AFTER: Final = timedelta(minutes=1)
"""How old the note of a session's last use may be before a use is written down again."""


class Verdict(StrEnum):
    """What becomes of a refresh token that is presented."""

    ENDED = "ended"
    ROTATE = "rotate"
    REISSUE = "reissue"
    REUSED = "reused"


class WhenFull(StrEnum):
    """What happens to a sign-in of an account that has as many sessions as it may."""

    EVICT_OLDEST = "evict_oldest"
    DENY_NEW = "deny_new"


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionRules:
    """What holds for the sessions of an account; no ``most`` is any number of them."""

    idle: timedelta = timedelta(hours=1)
    absolute: timedelta = timedelta(hours=24)
    grace: timedelta = timedelta(seconds=10)
    most: int | None = 10
    when_full: WhenFull = WhenFull.EVICT_OLDEST


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
