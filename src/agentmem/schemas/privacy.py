"""What is done about a person: erasing, restricting, holding."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from agentmem.schemas.audit import AuditEntry
from agentmem.schemas.base import Schema
from agentmem.schemas.entities import EntityKind
from agentmem.schemas.memories import ExportedMemory, Provenance, ScopeId


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
    finished_at: datetime | None = None
    removed: dict[str, int]
    rewritten_at: datetime | None = None
    backups_expire_at: datetime | None = None


class SubjectState(Schema):
    """What holds for a user: ``held`` keeps them from being erased, ``restricted`` from being read and changed."""

    held: bool = False
    restricted: bool = False


class SubjectMarks(SubjectState):
    """What is to hold for a user; what is not named ends."""

    user_id: ScopeId


class ExportedSubject(SubjectState):
    """The first line of an export: of whom it is, from when, and what holds for them."""

    line: Literal["subject"] = "subject"
    format: Literal[1] = 1
    user_id: ScopeId
    exported_at: datetime


class ExportedOwn(Schema):
    """A memory about the user with all its versions, deleted ones too, and where it comes from."""

    line: Literal["memory"] = "memory"
    memory: ExportedMemory
    provenance: Provenance


class ExportedDerived(Schema):
    """A memory that was derived from those of the user; its text is there unless it is about somebody else."""

    line: Literal["derived"] = "derived"
    memory_id: UUID
    memory: ExportedMemory | None = None


class ExportedEntity(Schema):
    """An agent, a run or an app that the user's memories name, and how many of them do."""

    line: Literal["entity"] = "entity"
    kind: EntityKind
    id: str
    memories: int


class ExportedErasure(Schema):
    """An erasure of what was stored of the user before."""

    line: Literal["erasure"] = "erasure"
    erasure: Erasure


class ExportedEntry(Schema):
    """What was done with the user's memories, and by whom; memories of others are not named."""

    line: Literal["audit"] = "audit"
    entry: AuditEntry


SubjectLine = Annotated[
    ExportedSubject | ExportedOwn | ExportedDerived | ExportedEntity | ExportedErasure | ExportedEntry,
    Field(discriminator="line"),
]
"""A line of the export of everything that is stored about a user."""
