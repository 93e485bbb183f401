"""The schema's root, and the tables that belong to no feature."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, LargeBinary, MetaData, Table, Text, Uuid

SCHEMA = "agentmem"
metadata = MetaData(schema=SCHEMA)
PLATFORM_SCHEMA = "agentmem_platform"
platform_metadata = MetaData(schema=PLATFORM_SCHEMA)
"""Tables that belong to no organization: ids, times and versions alone."""

encryption_keys = Table(
    "encryption_keys",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("key_id", Uuid, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("subject", Text),
    Column("wrapped", LargeBinary, nullable=False),
    Column("provider", Text, nullable=False),
    Column("provider_key_id", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("retired_at", DateTime(timezone=True)),
)

fences = Table(
    "fences",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("work", Text(collation="C"), primary_key=True),
    Column("number", BigInteger, nullable=False),
)
