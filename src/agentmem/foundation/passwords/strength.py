"""How easily a new password would be guessed; slow, so that it is done where passwords are hashed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from zxcvbn import zxcvbn
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from agentmem.foundation.passwords.breached import BreachedPasswords
from agentmem.schemas.policies import PasswordRules

SCORED: Final = 72
"""Characters that are scored: the time it takes grows faster than the length."""
SHORTEST_WORD: Final = 4
"""Characters of a word about its owner that counts."""
LEAST_BESIDE: Final = 8
"""Characters that a password must have beside such words."""


class Weakness(StrEnum):
    """What is wrong with a new password, in a word that programs may show in their own language."""

    TOO_SHORT = "too_short"
    TOO_FEW_CLASSES = "too_few_classes"
    COMMON = "common"
    CONTEXT = "context"
    GUESSABLE = "guessable"
    BREACHED = "breached"
    REUSED = "reused"
    TOO_SOON = "too_soon"


@dataclass(frozen=True, kw_only=True, slots=True)
class Strength:
    """Judges new passwords; ``breached`` is the operator's file, if there is one."""

    breached: BreachedPasswords | None = None

    def weaknesses(self, password: str, rules: PasswordRules, words: Sequence[str]) -> list[Weakness]:
        """Name what is wrong with a password by these rules; ``words`` are about its owner and what it opens.

        Raises :class:`Unavailable` when there is a file and it cannot be read.
        """
        return list(self._found(password, rules, _sharpened(words)))

    def _found(self, password: str, rules: PasswordRules, words: Sequence[str]) -> Iterator[Weakness]:
        if len(password) < rules.min_length:
            yield Weakness.TOO_SHORT
        if len(set(map(_class_of, password))) < rules.min_classes:
            yield Weakness.TOO_FEW_CLASSES
        if rules.refuse_common and password.casefold() in FREQUENCY_LISTS["passwords"]:
            yield Weakness.COMMON
        if rules.refuse_context and _beside(password, words) < LEAST_BESIDE:
            yield Weakness.CONTEXT
        if rules.min_score and zxcvbn(password[:SCORED], user_inputs=list(words))["score"] < rules.min_score:
            yield Weakness.GUESSABLE
        if rules.refuse_breached and self.breached is not None and self.breached.holds(password):
            yield Weakness.BREACHED


def _sharpened(words: Iterable[str]) -> list[str]:
    """Give the words that count, the longest first, so that no part of one hides it."""
    return sorted({word.casefold() for word in words if len(word) >= SHORTEST_WORD}, key=len, reverse=True)


def _beside(password: str, words: Iterable[str]) -> int:
    """Count the characters that are left of a password without these words."""
    rest, found = password.casefold(), False
    for word in words:
        found = found or word in rest
        rest = rest.replace(word, "")
    return len(rest) if found else LEAST_BESIDE


def _class_of(character: str) -> str:
    if character.islower():
        return "lower"
    if character.isupper():
        return "upper"
    return "digit" if character.isdigit() else "other"
