"""How a memory may be handled: four classes, each of which gives up more of being found than the one before."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Classification(StrEnum):
    """How a memory may be handled, the least guarded first."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"
    RESTRICTED = "restricted"

    @property
    def rank(self) -> int:
        """How high it is."""
        return list(Classification).index(self)

    @property
    def may_leave(self) -> bool:
        """Whether a text of this class may be sent to a provider of models."""
        return self.rank < Classification.CONFIDENTIAL.rank

    @property
    def is_indexed(self) -> bool:
        """Whether a text of this class is found by its words or its meaning."""
        return self is not Classification.RESTRICTED


def highest(classes: Iterable[Classification]) -> Classification:
    """Give the highest of some classes."""
    return max(classes, key=lambda each: each.rank)


def embeddable(*, sends_texts: bool) -> tuple[Classification, ...]:
    """Name the classes that a model may read, which sends texts to a provider or runs here."""
    return tuple(each for each in Classification if each.is_indexed and (each.may_leave or not sends_texts))
