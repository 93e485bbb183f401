"""Table of organizations, the tenants."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Table, Text, Uuid

from agentmem.foundation.database.tables import metadata

organizations = Table(
    "organizations",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)
