"""Numbers as text of digits and letters: what a double click selects whole and a shell never quotes."""

from __future__ import annotations

from typing import Final

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUES: Final = {digit: value for value, digit in enumerate(ALPHABET)}


def encode_base62(number: int, width: int) -> str:
    """Write a number of at least zero with exactly ``width`` digits, the most significant first.

    Raises ``ValueError`` when it needs more.
    """
    digits = []
    rest = number
    for _ in range(width):
        rest, value = divmod(rest, len(ALPHABET))
        digits.append(ALPHABET[value])
    if rest:
        raise ValueError(f"the number does not fit into {width} base 62 digits")
    return "".join(reversed(digits))


def decode_base62(text: str) -> int:
    """Read a number back; raises ``ValueError`` for anything but digits and letters of ASCII."""
    number = 0
    for digit in text:
        value = _VALUES.get(digit)
        if value is None:
            raise ValueError("the text holds something else than base 62 digits")
        number = number * len(ALPHABET) + value
    return number
