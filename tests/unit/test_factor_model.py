"""What a sign-in needs beside the password, and how recovery codes are written and read."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.errors import PermissionDenied
from agentmem.features.identity.factors.model import (
    CROCKFORD,
    PASSWORDLESS,
    Challenge,
    Demand,
    account_of,
    demand,
    new_recovery_code,
    owed,
    read_recovery_code,
)
from agentmem.foundation.authorization.caller import accounts_caller
from agentmem.kit.ids import AccountId, OrganizationId
from agentmem.schemas.access import Role
from agentmem.schemas.factors import FactorKind
from agentmem.schemas.policies import FactorPolicy

TOTP, PASSKEY, SPARE, EMAIL = FactorKind.TOTP, FactorKind.PASSKEY, FactorKind.RECOVERY_CODE, FactorKind.EMAIL
OF_OWNERS = FactorPolicy(required_for=(Role.OWNER,), allowed=(TOTP, PASSKEY))


def test_an_account_without_factors_needs_none_where_none_is_required() -> None:
    assert demand((), Role.MEMBER, OF_OWNERS) == Demand()
    assert demand((), Role.MEMBER, OF_OWNERS).is_met


def test_an_account_without_factors_adds_one_where_one_is_required() -> None:
    assert demand((), Role.OWNER, OF_OWNERS) == Demand(enrol=(TOTP, PASSKEY))
    assert not demand((), Role.OWNER, OF_OWNERS).is_met


@pytest.mark.parametrize("role", [Role.OWNER, Role.MEMBER])
def test_a_factor_that_the_account_has_is_always_asked_for(role: Role) -> None:
    assert demand({TOTP, PASSKEY, SPARE}, role, OF_OWNERS) == Demand(prove=(TOTP, PASSKEY, SPARE))
    assert demand({PASSKEY}, role, OF_OWNERS) == Demand(prove=(PASSKEY,))


def test_a_factor_that_is_not_allowed_is_proved_before_another_is_added() -> None:
    policy = FactorPolicy(required_for=(Role.OWNER,), allowed=(PASSKEY,))

    assert demand({TOTP, SPARE}, Role.OWNER, policy) == Demand(prove=(TOTP, SPARE), enrol=(PASSKEY,))
    assert demand({TOTP, SPARE}, Role.MEMBER, policy) == Demand(prove=(TOTP, SPARE))
    assert demand({TOTP, PASSKEY}, Role.OWNER, policy) == Demand(prove=(PASSKEY,))


def sign_in(role: Role, *amr: str) -> Challenge:
    return Challenge(account_id=AccountId(uuid4()), acting_in=OrganizationId(uuid4()), role=role, amr=amr)


def test_what_was_proved_is_not_asked_for_again() -> None:
    before = sign_in(Role.OWNER, "pwd")

    assert owed(before, {TOTP}, OF_OWNERS) == demand({TOTP}, Role.OWNER, OF_OWNERS)
    proved = before.proved_by(TOTP)
    assert (proved.amr, proved.is_proved, before.is_proved) == (("pwd", "otp", "mfa"), True, False)
    assert owed(proved, {TOTP}, OF_OWNERS).is_met
    assert proved.proved_by(PASSKEY).amr == ("pwd", "otp", "mfa", "hwk")


def test_after_a_forbidden_factor_was_proved_an_allowed_one_is_added() -> None:
    policy = FactorPolicy(required_for=(Role.OWNER,), allowed=(PASSKEY,))

    assert owed(sign_in(Role.OWNER, "pwd", "otp", "mfa"), {TOTP}, policy) == Demand(enrol=(PASSKEY,))


def test_a_passkey_that_signs_in_by_itself_needs_no_more_unless_the_policy_forbids_it() -> None:
    policy = FactorPolicy(required_for=(Role.OWNER,), allowed=(TOTP,))
    alone = sign_in(Role.OWNER, *PASSWORDLESS)

    assert owed(alone, {PASSKEY, TOTP}, OF_OWNERS).is_met
    assert owed(alone, {PASSKEY, TOTP}, policy) == Demand(prove=(TOTP,))
    assert owed(alone.proved_by(TOTP), {PASSKEY, TOTP}, policy).is_met
    assert owed(alone, {PASSKEY}, policy) == Demand(enrol=(TOTP,))
    assert owed(sign_in(Role.MEMBER, *PASSWORDLESS), {PASSKEY}, policy).is_met


def test_recovery_codes_alone_are_no_factor() -> None:
    assert demand({SPARE}, Role.OWNER, OF_OWNERS) == Demand(enrol=(TOTP, PASSKEY))
    assert demand({SPARE}, Role.MEMBER, OF_OWNERS) == Demand()


def test_a_caller_that_is_no_person_has_no_factors() -> None:
    with pytest.raises(PermissionDenied) as refused:
        account_of(accounts_caller())

    assert refused.value.message == "Only a person who has signed in has factors."
    assert refused.value.hint == "Sign in, and try again."


def test_a_person_has_factors() -> None:
    account_id = AccountId(uuid4())

    assert account_of(replace(accounts_caller(), account_id=account_id)) == account_id


def test_recovery_codes_are_120_random_bits_in_four_groups() -> None:
    codes = {new_recovery_code() for _ in range(1000)}

    assert len(codes) == 1000
    assert {tuple(map(len, code.split("-"))) for code in codes} == {(6, 6, 6, 6)}
    # Each of the 24 places takes each of the 32 digits: no place is bound to another, and none lacks a bit.
    places = zip(*(code.replace("-", "") for code in codes), strict=True)
    assert [set(place) for place in places] == [set(CROCKFORD)] * 24


@given(digits=st.text(CROCKFORD, min_size=24, max_size=24), data=st.data())
def test_recovery_codes_are_read_as_people_write_them(digits: str, data: st.DataObject) -> None:
    alike = {"0": "0oO", "1": "1iIlL"}
    written = "".join(
        data.draw(st.sampled_from(alike.get(digit, digit + digit.lower()))) + data.draw(st.sampled_from(["", "-", " "]))
        for digit in digits
    )

    assert read_recovery_code(written) == digits


@pytest.mark.parametrize("text", ["", "0" * 23, "0" * 25, "U" * 24, "0" * 23 + "ß", "é" * 24, "0" * 24 + "\n"])
def test_what_is_no_recovery_code_is_not_read(text: str) -> None:
    assert read_recovery_code(text) is None
