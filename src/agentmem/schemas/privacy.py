"""What is done about a person: erasing, restricting, holding."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from agentmem.schemas.base import Schema
from agentmem.schemas.memories import ScopeId


class ErasureRequest(Schema):
    """Whom to erase: everything that is stored about this user goes, and their key."""

    user_id: ScopeId


class Erasure(Schema):
    """An erasure, and once it has finished its certificate: how much was removed, by store.

    ``rewritten_at`` is when the files were written anew after it, so that no removed bytes are left in tables and log;
    ``backups_expire_at`` is until when a backup from before it may exist, in which nothing of the person opens.
    ``subject`` is a keyed hash that stands for the person.
    """

    id: UUID
    subject: str
    requested_by: str
    requested_at: datetime
    finished_at: datetime | None
    removed: dict[str, int]
    rewritten_at: datetime | None
    backups_expire_at: datetime | None


class SubjectState(Schema):
    """What holds for a user: ``held`` keeps them from being erased, ``restricted`` from being read and changed."""

    held: bool = False
    restricted: bool = False


class SubjectMarks(SubjectState):
    """What is to hold for a user; what is not named ends."""

    user_id: ScopeId
