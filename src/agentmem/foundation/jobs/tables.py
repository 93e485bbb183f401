"""Tables of the jobs, which belong to organizations, and of the platform's: the queue of drains, and the schedules."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from agentmem.foundation.database.tables import metadata, platform_metadata

DRAIN: Final = "drain"
"""The task of a row that stands for an organization's jobs of one kind."""
_WAITING = text("state IN ('queued', 'running')")

jobs = Table(
    "jobs",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("job_id", Uuid, primary_key=True),
    Column("kind", Text(collation="C"), nullable=False),
    Column("arguments", JSONB, nullable=False),
    Column("once", Text(collation="C")),
    Column("priority", SmallInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("total", BigInteger),
    Column("reason_code", Text),
    Column("reason", Text),
    Column("asked_by", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    CheckConstraint("state IN ('queued', 'running', 'succeeded', 'failed', 'discarded')", name="job_state"),
    Index("jobs_in_order", "organization_id", "kind", "priority", "due_at", "job_id", postgresql_where=_WAITING),
    Index("jobs_by_time", "organization_id", "kind", "due_at", postgresql_where=_WAITING),
    Index("jobs_once", "organization_id", "kind", "once", unique=True, postgresql_where=text("state = 'queued'")),
    Index("jobs_finished", "organization_id", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
)
"""``due_at`` is when a worker is to look: when a queued job may begin, or when a running one's lease ends."""

queue = Table(
    "procrastinate_jobs",
    platform_metadata,
    Column("id", BigInteger, primary_key=True),
    Column("queue_name", Text, nullable=False),
    Column("task_name", Text, nullable=False),
    Column("lock", Text),
    Column("queueing_lock", Text),
    Column("args", JSONB, nullable=False),
    Column("status", Text, nullable=False),
    Column("scheduled_at", DateTime(timezone=True)),
    Column("worker_id", BigInteger),
)
"""What the library's workers take: a row for each organization and kind that has jobs, and the schedules that fired."""

schedules = Table(
    "schedules",
    platform_metadata,
    Column("name", Text(collation="C"), primary_key=True),
    Column("next_at", DateTime(timezone=True), nullable=False),
)
