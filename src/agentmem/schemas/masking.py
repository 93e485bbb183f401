"""What is masked, and for whom: an organization's rule about personal data and secrets in texts."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, StrictBool

from agentmem.kit.text.patterns import LONGEST_PATTERN, compile_pattern
from agentmem.schemas.base import Schema, Text
from agentmem.schemas.policy_kinds import PolicyKind


class MaskedKind(StrEnum):
    """What is recognised in a text."""

    EMAIL = "email"
    PHONE = "phone"
    CARD = "card"
    IBAN = "iban"
    NATIONAL_ID = "national_id"
    SECRET = "secret"  # noqa: S105  # the name of a kind


MOST_PATTERNS: Final = 10


def check_pattern(written: str) -> str:
    """Refuse what is no pattern of :mod:`agentmem.kit.text.patterns`."""
    compile_pattern(written)
    return written


class CustomPattern(Schema):
    r"""Something of an organization's own, such as the numbers of its employees: ``EMP-\d{6}``.

    ``name`` stands in place of what is found. See :mod:`agentmem.kit.text.patterns` for what a pattern may be.
    """

    name: Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,31}$")]
    pattern: Annotated[Text, Field(min_length=3, max_length=LONGEST_PATTERN), AfterValidator(check_pattern)]


class MaskingPolicy(Schema):
    """What is masked where.

    ``answers``: in what callers without ``pii:read`` are given, exports included. ``prompts``: in texts that are sent
    to a provider of models. ``stored``: before a text is stored, embedded and indexed, so that nobody reads it ever
    again. Of telephone numbers without a country code those of ``phone_regions`` are recognised.
    """

    kind: Literal[PolicyKind.MASKING] = PolicyKind.MASKING
    answers: StrictBool = False
    prompts: StrictBool = False
    stored: StrictBool = False
    kinds: Annotated[tuple[MaskedKind, ...], Field(max_length=len(MaskedKind))] = tuple(MaskedKind)
    patterns: Annotated[tuple[CustomPattern, ...], Field(max_length=MOST_PATTERNS)] = ()
    phone_regions: Annotated[tuple[Annotated[str, Field(pattern="^[A-Z]{2}$")], ...], Field(max_length=8)] = (
        "CN",
        "US",
    )
