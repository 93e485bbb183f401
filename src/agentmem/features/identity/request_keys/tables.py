"""Table of the keys that sign the requests of API keys."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, ForeignKeyConstraint, Index, LargeBinary, Table, Text, Uuid

from agentmem.features.identity.model import key_number
from agentmem.foundation.database.tables import SEALED, Sealed, metadata

request_keys = Table(
    "request_keys",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("request_key_id", Text(collation="C"), primary_key=True),
    Column("key_id", Text(collation="C"), nullable=False),
    Column("name", Text, nullable=False),
    Column("algorithm", Text, nullable=False),
    Column("public_key", LargeBinary),
    Column("sealed", LargeBinary, info={SEALED: Sealed(row_id="request_key_id", version=1, as_id=key_number)}),
    Column("created_by", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
    ForeignKeyConstraint(
        ["organization_id", "key_id"],
        ["agentmem.api_keys.organization_id", "agentmem.api_keys.key_id"],
        ondelete="CASCADE",
    ),
    Index("request_keys_of_key", "organization_id", "key_id"),
)
