"""The rules of lockout: when a guess is let through, and for how long the next ones wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.errors import InvalidInput
from agentmem.features.identity.accounts.model import (
    Guesses,
    MailPurpose,
    SignedIn,
    is_expired,
    is_too_young,
    reserve,
    strictest,
)
from agentmem.kit.ids import AccountId, uuid7
from agentmem.schemas.base import parse
from agentmem.schemas.policies import PRESETS, LockoutPolicy, PasswordPolicy, PasswordPreset

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
POLICY = LockoutPolicy()
NIST, LEGACY = PRESETS[PasswordPreset.NIST], PRESETS[PasswordPreset.LEGACY]


def after(count: int, policy: LockoutPolicy = POLICY) -> tuple[Guesses, datetime]:
    """Guess so often, each time as soon as it is let through."""
    guesses, now = Guesses(), NOW
    for _ in range(count):
        now = max(now, guesses.locked_until or now)
        counted = reserve(guesses, policy, now)
        assert counted is not None
        guesses = counted
    return guesses, now


def test_first_guesses_wait_for_nothing_and_the_next_ever_longer() -> None:
    waits = []
    for guesses, now in map(after, range(1, 13)):
        waits.append(0 if guesses.locked_until is None else int((guesses.locked_until - now).total_seconds()))
    last, now = after(12)

    assert waits == [0, 0, 0, 0, 60, 120, 240, 480, 900, 900, 900, 900]
    assert (last.failures, last.consecutive, last.tried_at) == (12, 12, now)


def test_guess_before_the_end_of_a_wait_is_not_made_and_not_counted() -> None:
    guesses, now = after(5)
    assert guesses.locked_until == now + timedelta(seconds=60)

    assert reserve(guesses, POLICY, now + timedelta(seconds=59.9)) is None
    assert reserve(guesses, POLICY, now + timedelta(seconds=60)) is not None


def test_time_without_guesses_forgives_delays_and_nothing_of_the_hard_cap() -> None:
    guesses, now = after(7)
    late, early = timedelta(hours=12), timedelta(hours=11, minutes=59)
    forgiven, kept = reserve(guesses, POLICY, now + late), reserve(guesses, POLICY, now + early)

    assert forgiven is not None
    assert kept is not None
    assert (forgiven.failures, forgiven.consecutive, forgiven.locked_until) == (1, 8, None)
    assert (kept.failures, kept.consecutive) == (8, 8)


def test_password_ends_at_the_hard_cap_for_good() -> None:
    policy = LockoutPolicy(hard_cap=7)
    guesses, now = after(7, policy)

    assert reserve(guesses, policy, now + timedelta(days=10_000)) is None
    assert reserve(Guesses(consecutive=6), policy, now) is not None


@given(st.lists(st.integers(0, 200_000), max_size=120))
def test_no_rhythm_of_guesses_gets_more_than_the_hard_cap(pauses: list[int]) -> None:
    guesses, now, made = Guesses(), NOW, 0
    for pause in pauses * 2:
        now += timedelta(seconds=pause)
        counted = reserve(guesses, POLICY, now)
        made += counted is not None
        guesses = counted or guesses

    assert made <= POLICY.hard_cap
    assert guesses.consecutive == made


def test_policy_that_ends_a_password_before_it_delays_is_refused() -> None:
    with pytest.raises(InvalidInput, match="failures is more than hard_cap"):
        parse(LockoutPolicy, {"failures": 20, "hard_cap": 19})


def test_rules_of_several_organizations_are_the_strictest_of_each() -> None:
    loose = PasswordPolicy(preset=PasswordPreset.ASVS_L2, refuse_common=False, max_age_days=30, history=24).rules

    both = strictest([loose, LEGACY])
    assert strictest([]) == NIST
    assert strictest([loose]) == loose
    assert both.model_dump() == {
        **LEGACY.model_dump(),
        "history": 24,
        "max_age_days": 30,
    }


def test_preset_is_changed_by_what_is_given_besides() -> None:
    assert PasswordPolicy().rules == NIST
    assert PasswordPolicy(preset=PasswordPreset.LEGACY, min_length=20).rules == LEGACY.model_copy(
        update={"min_length": 20}
    )


def test_password_expires_and_may_be_changed_in_time() -> None:
    assert not is_expired(NIST, NOW, NOW + timedelta(days=9999))
    assert is_expired(LEGACY, NOW, NOW + timedelta(days=90))
    assert not is_expired(LEGACY, NOW, NOW + timedelta(days=89, hours=23))
    assert is_too_young(LEGACY, NOW, NOW + timedelta(hours=23, minutes=59))
    assert not is_too_young(LEGACY, NOW, NOW + timedelta(hours=24))
    assert not is_too_young(NIST, NOW, NOW)


def test_secrets_of_mails_last_a_day_to_register_and_an_hour_otherwise() -> None:
    assert {purpose.value: purpose.minutes for purpose in MailPurpose} == {"register": 1440, "reset": 60, "unlock": 60}


def test_token_of_a_device_is_not_shown() -> None:
    assert "amd_1" not in repr(SignedIn(account_id=AccountId(uuid7()), password_set_at=NOW, device="amd_1"))
