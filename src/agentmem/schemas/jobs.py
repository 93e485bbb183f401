"""Background jobs, as whoever asked for them sees them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from agentmem.schemas.base import Schema, Text


class JobState(StrEnum):
    """Where a job is; ``failed`` is the dead letter: it is done again only when somebody asks for it."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DISCARDED = "discarded"


class JobReason(Schema):
    """Why the last try failed: the code of an error, and a sentence without anybody's content."""

    code: str
    message: str


class JobRecord(Schema):
    """A job: what it is to do, how far it is, and how it ended.

    ``due_at`` is when a queued job may begin, or until when a running one's worker is believed to be alive.
    ``attempts`` counts how often a worker took it; ``total`` is absent where nobody knows it.
    """

    id: UUID
    kind: str
    state: JobState
    arguments: dict[str, str | int]
    priority: int
    due_at: datetime
    attempts: int
    done: int
    total: int | None
    reason: JobReason | None
    asked_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobQuery(Schema):
    """Which jobs, the newest first: all given conditions must hold."""

    state: JobState | None = None
    kind: Annotated[Text, Field(min_length=1, max_length=255)] | None = None
    limit: Annotated[int, Field(ge=1, le=1000, strict=True)] = 100
    cursor: Annotated[str, Field(max_length=4096)] | None = None


class OrderedJob(Schema):
    """The job that does what was asked for."""

    job_id: UUID
