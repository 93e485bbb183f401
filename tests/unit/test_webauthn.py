"""Passkeys: what a browser is asked, and that only the right answer to it is taken."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from agentmem.errors import Conflict, Unauthenticated
from agentmem.features.identity.factors.model import StoredPasskey
from agentmem.features.identity.factors.webauthn import (
    Asserted,
    RelyingParty,
    authentication_options,
    challenge_of,
    claimed_by,
    credential_id_of,
    read_assertion,
    read_registration,
    registration_options,
)
from agentmem.kit.ids import AccountId
from tests.support.authenticator import Authenticator, base64url

PARTY = RelyingParty.of("https://memory.example.com:8443/")
ACCOUNT = AccountId(UUID(int=5))
CHALLENGE = secrets.token_bytes(32)
Answer = dict[str, JsonValue]


def device(**terms: object) -> Authenticator:
    return Authenticator(**{"origin": PARTY.origin, **terms})  # type: ignore[arg-type]


def made(by: Authenticator) -> Answer:
    return by.create(registration_options(PARTY, CHALLENGE, ACCOUNT, "ada@example.com", []))


def registered(by: Authenticator) -> StoredPasskey:
    found = read_registration(PARTY, made(by), CHALLENGE)
    return StoredPasskey(
        passkey_id=uuid4(),
        account_id=ACCOUNT,
        credential_id=found.credential_id,
        public_key=found.public_key,
        name="key",
        sign_count=found.sign_count,
    )


def signed(by: Authenticator, challenge: bytes = CHALLENGE) -> Answer:
    return by.get(authentication_options(PARTY, challenge))


def test_passkeys_are_bound_to_the_host_and_used_on_the_origin_of_the_public_url() -> None:
    assert RelyingParty(id="memory.example.com", origin="https://memory.example.com:8443") == PARTY
    for missing in (None, ""):
        with pytest.raises(Conflict, match="AGENTMEM_PUBLIC_URL"):
            RelyingParty.of(missing)


def test_a_browser_is_asked_for_a_discoverable_passkey_behind_a_pin_or_a_finger() -> None:
    options = registration_options(PARTY, CHALLENGE, ACCOUNT, "ada@example.com", [b"known"])

    assert options["authenticatorSelection"] == {
        "requireResidentKey": True,
        "residentKey": "required",
        "userVerification": "required",
    }
    assert options["attestation"] == "none"
    assert options["excludeCredentials"] == [{"id": base64url(b"known"), "type": "public-key"}]
    assert options["user"] == {
        "id": base64url(ACCOUNT.bytes),
        "name": "ada@example.com",
        "displayName": "ada@example.com",
    }
    asked = authentication_options(PARTY, CHALLENGE, [b"mine"])
    assert (asked["userVerification"], asked["rpId"]) == ("required", PARTY.id)
    assert asked["allowCredentials"] == [{"id": base64url(b"mine"), "type": "public-key"}]


def test_a_passkey_signs_in_as_whom_it_was_made_for() -> None:
    key = device(count=7)
    stored = registered(key)
    answer = signed(key)

    assert stored.sign_count == 7
    assert challenge_of(answer) == CHALLENGE
    assert claimed_by(answer) == (ACCOUNT, key.credential_id)
    assert credential_id_of(answer) == key.credential_id
    assert read_assertion(PARTY, answer, CHALLENGE, stored) == Asserted(sign_count=8, user_verified=True)


@pytest.mark.parametrize(
    "by",
    [
        pytest.param({"origin": "https://memory.example.com"}, id="another port"),
        pytest.param({"origin": "http://memory.example.com:8443"}, id="another scheme"),
        pytest.param({"origin": "https://evil.example.com:8443"}, id="another host"),
        pytest.param({"verifies": False}, id="nobody verified"),
    ],
)
def test_a_page_that_is_not_ours_and_a_user_who_is_not_verified_are_refused(by: dict[str, object]) -> None:
    key = device()
    stored = registered(key)
    for name, value in by.items():
        setattr(key, name, value)

    with pytest.raises(Unauthenticated):
        read_assertion(PARTY, signed(key), CHALLENGE, stored)
    with pytest.raises(Unauthenticated):
        read_registration(PARTY, made(key), CHALLENGE)


def test_another_challenge_host_or_key_is_refused() -> None:
    key = device()
    stored = registered(key)
    other = registered(device())

    with pytest.raises(Unauthenticated):
        read_assertion(PARTY, signed(key), secrets.token_bytes(32), stored)
    with pytest.raises(Unauthenticated):
        read_assertion(replace(PARTY, id="example.com"), signed(key), CHALLENGE, stored)
    with pytest.raises(Unauthenticated):
        read_assertion(PARTY, signed(key), CHALLENGE, replace(stored, public_key=other.public_key))
    with pytest.raises(Unauthenticated):
        read_registration(PARTY, made(key), secrets.token_bytes(32))


def test_an_answer_to_one_question_is_none_to_the_other() -> None:
    key = device()
    stored = registered(key)

    with pytest.raises(Unauthenticated):
        read_assertion(PARTY, made(key), CHALLENGE, stored)
    with pytest.raises(Unauthenticated):
        read_registration(PARTY, signed(key), CHALLENGE)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(data=st.data())
def test_whatever_is_damaged_is_refused_and_never_breaks_the_server(data: st.DataObject) -> None:
    key = device()
    stored = registered(key)
    for read, answer in ((read_registration, made(key)), (read_assertion, signed(key))):
        names = [("response", name) for name in answer["response"]] + [(name, None) for name in ("id", "rawId", "type")]  # type: ignore[union-attr]
        whole, part = data.draw(st.sampled_from(names))
        damaged = json.loads(json.dumps(answer))
        within = damaged if part is None else damaged[whole]
        old = within[part or whole]
        cut = old[: data.draw(st.integers(0, 4095)) % len(old)]  # a signature is not always as long
        within[part or whole] = data.draw(values | st.just(cut) | st.binary(max_size=200).map(base64url))
        if part == "userHandle" or within[part or whole] == old:
            continue
        arguments = (stored,) if read is read_assertion else ()
        with pytest.raises(Unauthenticated):
            read(PARTY, damaged, CHALLENGE, *arguments)


@given(answer=st.dictionaries(st.sampled_from(["response", "rawId", "id"]), values, max_size=3))
def test_what_no_browser_wrote_is_refused(answer: Answer) -> None:
    for look in (challenge_of, claimed_by):
        with pytest.raises(Unauthenticated):
            look(answer)
