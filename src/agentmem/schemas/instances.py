"""The processes of an installation, as its operators see them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from agentmem.schemas.base import Schema


class InstanceRole(StrEnum):
    """What a process does: a server answers requests, and does jobs too unless that is switched off."""

    SERVER = "server"
    WORKER = "worker"


class Instance(Schema):
    """A process that says every five seconds that it is there; ``alive`` is false 15 seconds after it last did.

    One that ends as it should is taken off the list at once, any other after a day. ``address`` is where a server
    listens.
    """

    id: UUID
    role: InstanceRole
    version: str
    schema_revision: str
    host: str
    address: str | None
    started_at: datetime
    seen_at: datetime
    alive: bool
