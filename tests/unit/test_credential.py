"""The text of an API key: every slip is noticed without a look at the database."""

from __future__ import annotations

import re
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.features.identity.credential import PATTERN, new_credential, read_credential
from agentmem.kit.base62 import ALPHABET, decode_base62, encode_base62
from agentmem.schemas.keys import KeyEnvironment


def with_checksum(body: str) -> str:
    return body + encode_base62(crc32(body.encode()), 6)


@pytest.mark.parametrize("environment", list(KeyEnvironment))
def test_new_key_has_the_published_form_and_is_read_back(environment: KeyEnvironment) -> None:
    credential = new_credential(environment)

    assert re.fullmatch(r"amk_(live|test)_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}", credential.text)
    assert credential.text.split("_")[1:3] == [environment.value, credential.key_id]
    assert read_credential(credential.text) == credential
    assert credential.text.endswith(credential.last_four)


def test_no_two_keys_are_alike() -> None:
    made = [new_credential(KeyEnvironment.LIVE) for _ in range(1000)]

    assert len({one.key_id for one in made}) == len({one.text[22:65] for one in made}) == 1000


def test_key_does_not_show_its_secret() -> None:
    credential = new_credential(KeyEnvironment.LIVE)

    assert credential.text not in repr(credential)
    assert credential.key_id in repr(credential)


@given(st.integers(min_value=0, max_value=70), st.characters())
def test_every_changed_character_is_noticed(place: int, character: str) -> None:
    text = new_credential(KeyEnvironment.LIVE).text
    changed = text[:place] + character + text[place + 1 :]

    assert (read_credential(changed) is None) is (changed != text)


@given(st.integers(min_value=9, max_value=69))
def test_two_characters_that_changed_places_are_noticed(place: int) -> None:
    text = new_credential(KeyEnvironment.LIVE).text
    changed = text[:place] + text[place + 1] + text[place] + text[place + 2 :]

    assert (read_credential(changed) is None) is (changed != text)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1],
        lambda text: text + "0",
        lambda text: f" {text}",
        lambda text: f"{text}\n",
        lambda text: text.upper(),
        lambda text: text.replace("amk_", "sk_"),
        lambda text: text.replace("live", "prod"),
        lambda text: "",
        lambda text: text * 1000,
    ],
)
def test_text_of_another_form_is_no_key(change: object) -> None:
    assert callable(change)
    assert read_credential(change(new_credential(KeyEnvironment.LIVE).text)) is None


def test_secret_beyond_256_bits_is_no_key() -> None:
    largest = encode_base62(2**256 - 1, 43)
    beyond = encode_base62(2**256, 43)

    assert read_credential(with_checksum(f"amk_live_{'0' * 12}_{largest}")) is not None
    assert read_credential(with_checksum(f"amk_live_{'0' * 12}_{beyond}")) is None
    assert decode_base62(ALPHABET[-1] * 43) > 2**256


def test_pattern_finds_keys_in_any_text() -> None:
    text = new_credential(KeyEnvironment.TEST).text
    found = PATTERN.search(f'{{"authorization": "Bearer {text}"}}')

    assert found is not None
    assert found[0] == text
