"""What an examination of the memories is asked, and what it says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from agentmem.schemas.classification import Classification
from agentmem.schemas.health import REPAIRABLE, FindingCode

MOST_DAMAGE: Final = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexedBy:
    """The embedding model in force, the lengths of its vectors (0 if it is not there to say), and what it may read."""

    model: str
    dimensions: int
    token_dimensions: int
    classes: Sequence[Classification]


@dataclass(frozen=True, kw_only=True, slots=True)
class Damage:
    """One thing that is not as it should be, and where; ``place`` names the indexed text that it is about."""

    code: FindingCode
    what: str
    memory_id: UUID | None = None
    version: int | None = None
    place: int | None = None


@dataclass(kw_only=True)
class Examination:
    """What was seen, and what was found; ``damage`` lists the first ``MOST_DAMAGE``, ``counts`` has all."""

    memories: int = 0
    versions: int = 0
    places: int = 0
    pending: int = 0
    compared: int = 0
    damage: list[Damage] = field(default_factory=list)
    counts: Counter[FindingCode] = field(default_factory=Counter)

    def found(self, damage: Damage) -> None:
        """Note what was found."""
        self.counts[damage.code] += 1
        if len(self.damage) < MOST_DAMAGE:
            self.damage.append(damage)

    @property
    def repairable(self) -> int:
        """How much of it can be repaired."""
        return sum(number for code, number in self.counts.items() if code in REPAIRABLE)
