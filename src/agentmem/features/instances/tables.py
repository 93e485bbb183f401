"""Table of the processes that are there; it belongs to no organization."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Table, Text, Uuid

from agentmem.foundation.database.tables import platform_metadata

instances = Table(
    "instances",
    platform_metadata,
    Column("instance_id", Uuid, primary_key=True),
    Column("role", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("schema_revision", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("address", Text),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("seen_at", DateTime(timezone=True), nullable=False),
)
