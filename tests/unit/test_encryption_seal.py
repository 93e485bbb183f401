"""Sealing and opening: what was sealed opens in its own place, and nowhere else."""

from __future__ import annotations

import pickle
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.errors import DecryptionFailed, InvalidInput, KeyUnavailable
from agentmem.foundation.encryption.seal import OVERHEAD_BYTES, Keyring, Location, SealingKey
from agentmem.foundation.encryption.secret import SecretKey
from agentmem.kit.ids import KeyId, OrganizationId

ORGANIZATION = OrganizationId(UUID(int=1))
OTHER_ORGANIZATION = OrganizationId(UUID(int=2))
PLACE = Location(table="memories", column="content", row_id=UUID(int=7), row_version=3)
NAMES = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=40)
LOCATIONS = st.builds(
    Location, table=NAMES, column=NAMES, row_id=st.uuids(), row_version=st.integers(min_value=0, max_value=2**64 - 1)
)


def make_key(number: int = 1, organization_id: OrganizationId = ORGANIZATION) -> SealingKey:
    secret = SecretKey(bytearray([number]) * 32)
    return SealingKey(organization_id=organization_id, key_id=KeyId(UUID(int=number)), key=secret)


@given(LOCATIONS, st.binary(max_size=5000))
def test_what_was_sealed_opens_in_its_place(location: Location, plaintext: bytes) -> None:
    keyring = Keyring(active=make_key())
    blob = keyring.seal(location, plaintext)
    assert keyring.open(location, blob) == plaintext
    assert len(blob) == len(plaintext) + OVERHEAD_BYTES


@given(LOCATIONS, LOCATIONS)
def test_a_blob_opens_in_one_place_alone(sealed_for: Location, opened_at: Location) -> None:
    keyring = Keyring(active=make_key())
    blob = keyring.seal(sealed_for, b"Tea at five")
    if sealed_for == opened_at:
        assert keyring.open(opened_at, blob) == b"Tea at five"
    else:
        with pytest.raises(DecryptionFailed):
            keyring.open(opened_at, blob)


@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(PLACE, table="history"),
        replace(PLACE, column="actor"),
        replace(PLACE, row_id=UUID(int=8)),
        replace(PLACE, row_version=4),
        replace(PLACE, row_version=2**64 - 1),
        replace(PLACE, row_version=-3),
        replace(PLACE, row_version=2**64 + 3),
        # The same letters, with the border between table and column moved.
        replace(PLACE, table="memoriesc", column="ontent"),
        replace(PLACE, table="memorie", column="scontent"),
    ],
    ids=lambda place: f"{place.table}.{place.column}-{place.row_id.int}-{place.row_version}",
)
def test_a_blob_moved_to_another_place_does_not_open(elsewhere: Location) -> None:
    keyring = Keyring(active=make_key())
    blob = keyring.seal(PLACE, b"Tea at five")
    with pytest.raises(DecryptionFailed, match="does not open"):
        keyring.open(elsewhere, blob)


def test_a_blob_does_not_open_in_another_organization_even_with_the_same_key() -> None:
    blob = Keyring(active=make_key()).seal(PLACE, b"Tea at five")
    with pytest.raises(DecryptionFailed):
        Keyring(active=make_key(organization_id=OTHER_ORGANIZATION)).open(PLACE, blob)


def test_a_blob_with_any_bit_flipped_does_not_open() -> None:
    keyring = Keyring(active=make_key(), others=[make_key(2)])
    blob = keyring.seal(PLACE, b"Tea at five")
    for bit in range(len(blob) * 8):
        damaged = bytearray(blob)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecryptionFailed):
            keyring.open(PLACE, bytes(damaged))


def test_a_blob_does_not_open_when_its_header_names_another_key_of_the_organization() -> None:
    keyring = Keyring(active=make_key(), others=[make_key(2)])
    blob = keyring.seal(PLACE, b"Tea at five")
    with pytest.raises(DecryptionFailed):
        keyring.open(PLACE, blob[:2] + UUID(int=2).bytes + blob[18:])


def test_a_blob_cut_anywhere_or_made_longer_does_not_open() -> None:
    keyring = Keyring(active=make_key())
    blob = keyring.seal(PLACE, b"Tea at five")
    keyring.open(PLACE, blob)
    for length in range(len(blob)):
        with pytest.raises(DecryptionFailed):
            keyring.open(PLACE, blob[:length])
    with pytest.raises(DecryptionFailed):
        keyring.open(PLACE, blob + b"\x00")


def test_a_blob_of_a_later_format_or_another_algorithm_says_so() -> None:
    keyring = Keyring(active=make_key())
    blob = keyring.seal(PLACE, b"Tea at five")
    for header, what in ((b"\x02\x01", "format 2, algorithm 1"), (b"\x01\x02", "format 1, algorithm 2")):
        with pytest.raises(DecryptionFailed, match=f"{what} is not known"):
            keyring.open(PLACE, header + blob[2:])


def test_a_retired_key_still_opens_and_the_active_key_seals() -> None:
    old = make_key(1)
    before = Keyring(active=old)
    after = Keyring(active=make_key(2), others=[old])
    blob = before.seal(PLACE, b"Tea at five")
    assert after.open(PLACE, blob) == b"Tea at five"
    anew = after.seal(PLACE, b"Tea at six")
    assert after.open(PLACE, anew) == b"Tea at six"
    with pytest.raises(DecryptionFailed, match=f"its key {UUID(int=2)} is not one of the organization's keys"):
        before.open(PLACE, anew)


def test_the_same_text_is_sealed_differently_each_time() -> None:
    keyring = Keyring(active=make_key())
    assert len({keyring.seal(PLACE, b"Tea at five") for _ in range(100)}) == 100


def test_a_place_that_cannot_be_written_down_is_refused_when_sealing() -> None:
    keyring = Keyring(active=make_key())
    for place in (
        replace(PLACE, row_version=-1),
        replace(PLACE, row_version=2**64),
        replace(PLACE, table=""),
        replace(PLACE, column="c" * 256),
    ):
        with pytest.raises(InvalidInput):
            keyring.seal(place, b"Tea at five")


def test_a_keyring_of_two_organizations_is_refused() -> None:
    with pytest.raises(KeyUnavailable, match="belong to one organization"):
        Keyring(active=make_key(), others=[make_key(2, OTHER_ORGANIZATION)])


def test_a_key_outlives_the_wiping_of_its_secret() -> None:
    secret = SecretKey(bytearray(b"k" * 32))
    key = SealingKey(organization_id=ORGANIZATION, key_id=KeyId(UUID(int=1)), key=secret)
    blob = Keyring(active=key).seal(PLACE, b"Tea at five")
    secret.wipe()
    assert bytes(secret.reveal()) == bytes(32)
    again = SealingKey(organization_id=ORGANIZATION, key_id=key.key_id, key=SecretKey(bytearray(b"k" * 32)))
    assert Keyring(active=again).open(PLACE, blob) == b"Tea at five"
    assert Keyring(active=again).open(PLACE, Keyring(active=key).seal(PLACE, b"Tea at six")) == b"Tea at six"


def test_a_secret_shows_stars_and_is_never_pickled() -> None:
    secret = SecretKey(bytearray(b"k" * 32))
    assert repr(secret) == str(secret) == "SecretKey(***)"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)


def test_a_key_of_the_wrong_length_is_refused() -> None:
    for length in (0, 16, 31, 33):
        with pytest.raises(KeyUnavailable, match=f"this one has {length}"):
            SecretKey(bytearray(length))
