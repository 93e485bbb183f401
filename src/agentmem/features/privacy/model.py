"""What is said of a person, and what is written of an erasure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, kw_only=True, slots=True)
class Marks:
    """What is said of a subject; ``user_id`` is there only while the subject must be found by it."""

    user_id: str | None = None
    erasing: bool = False
    restricted: bool = False
    held: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredErasure:
    """An erasure as its row keeps it."""

    erasure_id: UUID
    subject: bytes
    requested_by: str
    requested_at: datetime
    finished_at: datetime | None
    rewritten_at: datetime | None
    removed: Mapping[str, int]
