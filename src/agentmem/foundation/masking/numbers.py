"""Numbers that prove themselves by a checksum: payment cards, bank accounts, and what states give to people."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from stdnum import iban, luhn
from stdnum.br import cpf
from stdnum.ca import sin
from stdnum.cn import ric
from stdnum.es import dni, nie
from stdnum.exceptions import ValidationError
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.in_ import aadhaar
from stdnum.it import codicefiscale
from stdnum.kr import rrn
from stdnum.pl import pesel
from stdnum.se import personnummer
from stdnum.us import ssn

from agentmem.foundation.masking.port import Found
from agentmem.schemas.masking import MaskedKind

CHECKED_AT_MOST: Final = 250
"""How many of one shape are proved in one text; what follows is taken for what it looks like."""

_BEFORE: Final = r"(?<![0-9A-Za-z_.-])"
_AFTER: Final = r"(?![0-9A-Za-z_]|-[0-9A-Za-z])"
_SEPARATORS: Final = re.compile(r"[ -]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """How a number is written, and its proof."""

    kind: MaskedKind
    shape: re.Pattern[str]
    proof: Callable[[str], bool]


def _shape(kind: MaskedKind, written: str, proof: Callable[[str], bool]) -> Shape:
    return Shape(kind=kind, shape=re.compile(f"{_BEFORE}(?:{written}){_AFTER}"), proof=proof)


def _is_resident_id(number: str) -> bool:
    # Not by the table of counties, which changes: date and checksum leave one chance in some thousands.
    try:
        ric.get_birth_date(number)
        return number[-1].upper() == ric.calc_check_digit(number)
    except ValidationError:
        return False


def _is_card(number: str) -> bool:
    digits = _SEPARATORS.sub("", number)
    return len(digits) >= _SHORTEST_CARD and luhn.is_valid(digits)


_SHORTEST_CARD: Final = 13
_ID: Final = MaskedKind.NATIONAL_ID
SHAPES: Final[Sequence[Shape]] = (
    _shape(MaskedKind.CARD, r"[2-6]\d{3}(?:[ -]?\d){9,15}", _is_card),
    _shape(MaskedKind.IBAN, r"[A-Z]{2}\d{2}(?: ?[0-9A-Z]){11,30}", iban.is_valid),
    _shape(_ID, r"\d{17}[\dXx]", _is_resident_id),  # CN
    _shape(_ID, r"\d{3}([- ])\d{2}\1\d{4}", ssn.is_valid),  # US
    _shape(_ID, r"\d{3}\.?\d{3}\.?\d{3}-\d{2}", cpf.is_valid),  # BR
    _shape(_ID, r"\d{3}([- ])\d{3}\1\d{3}", sin.is_valid),  # CA
    _shape(_ID, r"[2-9]\d{3} ?\d{4} ?\d{4}", aadhaar.is_valid),  # IN
    _shape(_ID, r"[12] ?\d{2} ?\d{2} ?\d[0-9AB] ?\d{3} ?\d{3} ?\d{2}", nir.is_valid),  # FR
    _shape(_ID, r"\d{8}-?[A-Z]", dni.is_valid),  # ES
    _shape(_ID, r"[X-Z]-?\d{7}-?[A-Z]", nie.is_valid),  # ES, of foreigners
    _shape(_ID, r"[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z]", codicefiscale.is_valid),  # IT
    _shape(_ID, r"\d{6}-\d{7}", rrn.is_valid),  # KR
    _shape(_ID, r"\d{11}", pesel.is_valid),  # PL
    _shape(_ID, r"\d{6}[-+A]\d{3}[0-9A-Z]", hetu.is_valid),  # FI
    _shape(_ID, r"(?:\d{2})?\d{6}[-+]\d{4}", personnummer.is_valid),  # SE
)
"""Rows to add a number to."""


class Numbers:
    """Recognises numbers of these shapes."""

    def __init__(self, shapes: Sequence[Shape]) -> None:
        self._shapes = shapes

    def find(self, text: str) -> Iterator[Found]:
        """Find every number that proves itself."""
        for shape in self._shapes:
            for checked, match in enumerate(shape.shape.finditer(text)):
                end = match.end() if checked >= CHECKED_AT_MOST else _proved(shape, match)
                if end is not None:
                    yield Found(start=match.start(), end=end, kind=shape.kind.value)


def _proved(shape: Shape, match: re.Match[str]) -> int | None:
    """Say where a number ends: at the end of what looks like it, or at a gap before, for more may follow it."""
    written = unicodedata.normalize("NFKC", match[0])
    if len(written) != len(match[0]):
        return None
    ends = [len(written), *(gap.start() for gap in reversed(list(_SEPARATORS.finditer(written))))]
    return next((match.start() + end for end in ends if shape.proof(written[:end])), None)
