"""Base 62: every number comes back, and nothing but its digits is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.kit.base62 import ALPHABET, decode_base62, encode_base62


@given(st.integers(min_value=0, max_value=2**256 - 1))
def test_every_256_bit_number_comes_back_from_43_digits(number: int) -> None:
    text = encode_base62(number, 43)

    assert len(text) == 43
    assert decode_base62(text) == number


def test_numbers_keep_their_order_as_text() -> None:
    texts = [encode_base62(number, 2) for number in range(62 * 62)]

    assert texts == sorted(set(texts))


def test_number_that_needs_more_digits_is_refused() -> None:
    assert encode_base62(62**3 - 1, 3) == "zzz"
    with pytest.raises(ValueError, match="3 base 62 digits"):
        encode_base62(62**3, 3)


@pytest.mark.parametrize("text", ["a-b", "a b", "ä", "٣", "a\n"])
def test_other_characters_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base 62"):
        decode_base62(text)


def test_alphabet_has_62_different_characters() -> None:
    assert len(set(ALPHABET)) == len(ALPHABET) == 62
    assert ALPHABET.isalnum()
    assert ALPHABET.isascii()
