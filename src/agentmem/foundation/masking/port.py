"""What the masking engine asks of whatever recognises something in a text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """Where something stands in a text, the end excluded, and what it is: a masked kind or the name of a pattern."""

    start: int
    end: int
    kind: str


class Recognizer(Protocol):
    """Finds one sort of thing. Its time must be linear in the text, whatever the text."""

    def find(self, text: str) -> Iterable[Found]:
        """Find everything, in any order; what overlaps is settled by the engine."""
        ...
