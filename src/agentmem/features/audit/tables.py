"""Table of seals: each chains the audit entries of a span to the seals before it."""

from __future__ import annotations

from sqlalchemy import ARRAY, BigInteger, Column, DateTime, LargeBinary, Table, Uuid

from agentmem.foundation.database.tables import metadata

audit_seals = Table(
    "audit_seals",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("seal_no", BigInteger, primary_key=True, autoincrement=False),
    Column("sealed_at", DateTime(timezone=True), nullable=False),
    Column("entries", ARRAY(Uuid), nullable=False),
    Column("previous", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
)
