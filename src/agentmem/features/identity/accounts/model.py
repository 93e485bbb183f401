"""Accounts and guesses at their passwords as values, and the rules of lockout; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from agentmem.kit.ids import AccountId
from agentmem.schemas.policies import LockoutPolicy

STRANGER: Final = UUID(int=0)
"""In place of a device: all that have never signed in to the account."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Guesses:
    """The guesses at one account's password from one device, or from all strangers, since the last that was right.

    ``failures`` are those that delays are counted by, ``consecutive`` those of the hard cap, which no time forgives.
    """

    failures: int = 0
    consecutive: int = 0
    tried_at: datetime | None = None
    locked_until: datetime | None = None


def reserve(before: Guesses, policy: LockoutPolicy, now: datetime) -> Guesses | None:
    """Count a guess before it is verified, as if it were wrong; ``None`` for one that is not to be made now."""
    if before.consecutive >= policy.hard_cap or (before.locked_until is not None and now < before.locked_until):
        return None
    forgiven = before.tried_at is None or now - before.tried_at >= timedelta(hours=policy.reset_hours)
    failures = 1 if forgiven else before.failures + 1
    beyond = failures - policy.failures
    delay = None if beyond < 0 else policy.delays[min(beyond, len(policy.delays) - 1)]
    return Guesses(
        failures=failures,
        consecutive=before.consecutive + 1,
        tried_at=now,
        locked_until=None if delay is None else now + timedelta(seconds=delay),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredPassword:
    """A password's hash with its place among those of its account."""

    number: int
    hashed: str = field(repr=False)
    set_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """A guess that was counted: at whose password, from which device, and whether it may be right at all.

    ``account_id`` and ``password`` are absent where there is none; nobody is told.
    """

    subject: bytes
    device: UUID
    admitted: bool
    account_id: AccountId | None
    password: StoredPassword | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedIn:
    """Whose password was right; ``device`` is the token by which this device is known from here on."""

    account_id: AccountId
    password_set_at: datetime
    device: str = field(repr=False)
