"""How people are reached: e-mail addresses and telephone numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import phonenumbers

from agentmem.foundation.masking.port import Found
from agentmem.schemas.masking import MaskedKind

CHECKED_AT_MOST: Final = 100
"""How many numbers are proved in one text; what follows is taken for what it looks like."""

_EMAIL: Final = re.compile(
    r"(?<![0-9A-Za-z._%+'-])[0-9A-Za-z_%+'.-]{1,64}+[@＠]"  # as an input method for Chinese writes it
    r"(?:[0-9A-Za-z][0-9A-Za-z-]{0,62}+\.){1,8}[A-Za-z][0-9A-Za-z-]{1,62}+"
)
_INTERNATIONAL: Final = re.compile(r"(?<![0-9A-Za-z+])(?:\+|00)[1-9](?:[ ().-]{0,2}\d){6,14}(?![0-9A-Za-z])")
_NATIONAL: Final = re.compile(
    r"(?<![0-9A-Za-z_.:/+-])\(?\d{2,5}\)?[ .-]?\d{3,4}[ .-]?\d{3,5}(?![0-9A-Za-z_:/]|[.-][0-9A-Za-z])"
)


class Emails:
    """Recognises e-mail addresses."""

    def find(self, text: str) -> Iterator[Found]:
        """Find every address."""
        for match in _EMAIL.finditer(text):
            yield Found(start=match.start(), end=match.end(), kind=MaskedKind.EMAIL.value)


class Phones:
    """Recognises telephone numbers: with a country code those of any country, without one those of ``regions``."""

    def __init__(self, regions: Sequence[str]) -> None:
        self._regions = tuple(regions)

    def find(self, text: str) -> Iterator[Found]:
        """Find every number that its country gives out."""
        for checked, match in enumerate(_INTERNATIONAL.finditer(text)):
            if checked >= CHECKED_AT_MOST or _is_given_out(re.sub("^00", "+", match[0]), None):
                yield Found(start=match.start(), end=match.end(), kind=MaskedKind.PHONE.value)
        for checked, match in enumerate(_NATIONAL.finditer(text)):
            if checked >= CHECKED_AT_MOST or any(_is_given_out(match[0], region) for region in self._regions):
                yield Found(start=match.start(), end=match.end(), kind=MaskedKind.PHONE.value)


def _is_given_out(written: str, region: str | None) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(written, region))
    except phonenumbers.NumberParseException:
        return False
