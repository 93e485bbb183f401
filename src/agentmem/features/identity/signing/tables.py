"""The table of the keys that sign access tokens; its rows are the platform's organization's."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from agentmem.foundation.database.tables import SEALED, Sealed, metadata

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("key_id", Uuid, primary_key=True),
    Column("kid", Text(collation="C"), nullable=False),
    Column("public", JSONB, nullable=False),
    Column("sealed", LargeBinary, nullable=False, info={SEALED: Sealed(row_id="key_id")}),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("signs_from", DateTime(timezone=True), nullable=False),
    Column("checks_until", DateTime(timezone=True)),
)
"""``signs_from`` comes after ``created_at``: a key is published before it is used. ``checks_until`` is when the last
token that it signed is over; absent while it signs, or will."""
