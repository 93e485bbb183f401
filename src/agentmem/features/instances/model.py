"""A process as it tells of itself."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from agentmem.schemas.instances import InstanceRole


@dataclass(frozen=True, kw_only=True, slots=True)
class NewInstance:
    """What a process says of itself; ``schema_revision`` is the newest that its version knows."""

    id: UUID
    role: InstanceRole
    version: str
    schema_revision: str
    host: str
    address: str | None
