"""Accounts and guesses at their passwords as values, and the rules of lockout; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from agentmem.kit.ids import AccountId
from agentmem.schemas.policies import LockoutPolicy, PasswordPolicy, PasswordRules

ENDED: Final = "accounts-ended"
"""The channel on which accounts are named whose sessions before their ``valid_after`` are over."""
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
class Chosen:
    """A password that may be set, hashed; ``kept`` is how many of those before it are remembered."""

    hashed: str = field(repr=False)
    kept: int


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


class MailPurpose(StrEnum):
    """What the secret of a mail is for."""

    REGISTER = "register"
    RESET = "reset"
    UNLOCK = "unlock"

    @property
    def minutes(self) -> int:
        """For how long it works."""
        return 24 * 60 if self is MailPurpose.REGISTER else 60


PREFIX: Final = "amt"
"""With what the secrets in mails begin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """A mail that carries a secret: to which address, and to whose account if it has one."""

    mail_id: UUID
    purpose: MailPurpose
    email: str = field(repr=False)
    account_id: AccountId | None
    secret: str | None = field(default=None, repr=False)


def is_expired(rules: PasswordRules, set_at: datetime, now: datetime) -> bool:
    """Tell whether a password is older than the rules let it become."""
    return rules.max_age_days is not None and now - set_at >= timedelta(days=rules.max_age_days)


def is_too_young(rules: PasswordRules, set_at: datetime, now: datetime) -> bool:
    """Tell whether a password may not be changed yet."""
    return now - set_at < timedelta(hours=rules.min_age_hours)


def strictest(policies: Iterable[PasswordRules]) -> PasswordRules:
    """Give the rules that are as strict as the strictest of these in every way; those of the default if there are none.

    Whoever belongs to several organizations has one password for all of them.
    """
    given = list(policies) or [PasswordPolicy().rules]
    ages = [rules.max_age_days for rules in given if rules.max_age_days is not None]
    return PasswordRules(
        min_length=max(rules.min_length for rules in given),
        min_score=max(rules.min_score for rules in given),
        min_classes=max(rules.min_classes for rules in given),
        refuse_common=any(rules.refuse_common for rules in given),
        refuse_context=any(rules.refuse_context for rules in given),
        refuse_breached=any(rules.refuse_breached for rules in given),
        history=max(rules.history for rules in given),
        max_age_days=min(ages, default=None),
        min_age_hours=max(rules.min_age_hours for rules in given),
    )
