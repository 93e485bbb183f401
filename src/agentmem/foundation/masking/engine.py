"""The masking engine: what is recognised in a text, and what stands there instead."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from pydantic import JsonValue

from agentmem.foundation.masking.contacts import Emails, Phones
from agentmem.foundation.masking.numbers import SHAPES, Numbers
from agentmem.foundation.masking.port import Found, Recognizer
from agentmem.foundation.masking.secrets import Secrets
from agentmem.kit.text.patterns import compile_pattern
from agentmem.schemas.masking import CustomPattern, MaskedKind, MaskingPolicy

Style = Callable[[str, str], str]
"""Gives what stands in place of something, from its kind and how it was written."""

_SHOWN: Final = 4
_LEAST_HIDDEN: Final = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Patterns:
    """Recognises an organization's own patterns."""

    compiled: Sequence[tuple[str, re.Pattern[str]]]

    @classmethod
    def of(cls, patterns: Iterable[CustomPattern]) -> Patterns:
        """Compile patterns that have been checked."""
        return cls(compiled=[(pattern.name, compile_pattern(pattern.pattern)) for pattern in patterns])

    def find(self, text: str) -> Iterator[Found]:
        """Find every place that a pattern fits."""
        for name, pattern in self.compiled:
            for match in pattern.finditer(text):
                yield Found(start=match.start(), end=match.end(), kind=name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Masker:
    """Puts something else in place of what its recognizers find, in the order of their importance."""

    recognizers: Sequence[Recognizer]

    @classmethod
    def of(cls, policy: MaskingPolicy) -> Masker:
        """Make the masker of a rule."""
        kinds = policy.kinds
        recognizers: list[Recognizer] = [Patterns.of(policy.patterns)] if policy.patterns else []
        if MaskedKind.SECRET in kinds:
            recognizers.append(Secrets())
        if MaskedKind.EMAIL in kinds:
            recognizers.append(Emails())
        recognizers.append(Numbers([shape for shape in SHAPES if shape.kind in kinds]))
        if MaskedKind.PHONE in kinds:
            recognizers.append(Phones(policy.phone_regions))
        return cls(recognizers=recognizers)

    def mask(self, text: str, style: Style) -> str:
        """Mask a text; where two things overlap the earlier recognizer has it, and of one recognizer the longer."""
        parts, at = list[str](), 0
        for found in self._settled(text):
            parts += (text[at : found.start], style(found.kind, text[found.start : found.end]))
            at = found.end
        return "".join((*parts, text[at:])) if parts else text

    def mask_json(self, value: JsonValue, style: Style) -> JsonValue:
        """Mask every text of a JSON value; the names of members stay."""
        if isinstance(value, str):
            return self.mask(value, style)
        if isinstance(value, list):
            return [self.mask_json(item, style) for item in value]
        if isinstance(value, dict):
            return {name: self.mask_json(item, style) for name, item in value.items()}
        return value

    def kinds(self, value: JsonValue) -> frozenset[str]:
        """Name what is recognised in the texts of a JSON value."""
        found = set[str]()

        def noted(kind: str, _written: str) -> str:
            found.add(kind)
            return ""

        self.mask_json(value, noted)
        return frozenset(found)

    def _settled(self, text: str) -> list[Found]:
        taken = bytearray(len(text))
        kept: list[Found] = []
        for recognizer in self.recognizers:
            for found in sorted(recognizer.find(text), key=lambda found: (found.start, -found.end)):
                if not any(taken[found.start : found.end]):
                    taken[found.start : found.end] = b"\x01" * (found.end - found.start)
                    kept.append(found)
        return sorted(kept, key=lambda found: found.start)


def named(kind: str, _written: str) -> str:
    """Show what it was and nothing of it: ``[EMAIL]``."""
    return f"[{kind.upper()}]"


def partial_view(kind: str, written: str) -> str:
    """Show as much as people need to tell two apart: ``j***@d***.com``, or the last four characters of a number."""
    if kind == MaskedKind.EMAIL:
        local, _, domain = written.replace("＠", "@").rpartition("@")  # as in the recognizer
        return f"{local[:1]}***@{domain[:1]}***.{domain.rpartition('.')[2]}"
    shown = "".join(filter(str.isalnum, written))
    if kind in {MaskedKind.CARD, MaskedKind.IBAN, MaskedKind.PHONE} and len(shown) >= _SHOWN + _LEAST_HIDDEN:
        return f"***{shown[-_SHOWN:]}"
    return named(kind, written)


def tagged(key: bytes) -> Style:
    """Show a keyed hash, the same for the same thing, so that two lines of a log can be told to speak of one."""
    return partial(_tag, key)


def _tag(key: bytes, kind: str, written: str) -> str:
    return f"[REDACTED:{kind}:{hmac.new(key, written.encode(), hashlib.sha256).hexdigest()[:8]}]"
