"""The table of erasures."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from agentmem.foundation.database.tables import metadata

erasures = Table(
    "erasures",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("erasure_id", Uuid, primary_key=True),
    Column("subject", LargeBinary, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    Column("rewritten_at", DateTime(timezone=True)),
    Column("removed", JSONB, nullable=False),
)
