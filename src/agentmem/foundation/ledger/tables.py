"""Tables of the ledger: audit entries, events, idempotency keys, and the answers to repeated requests."""

from __future__ import annotations

from sqlalchemy import ARRAY, BigInteger, Boolean, Column, DateTime, Index, LargeBinary, SmallInteger, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from agentmem.foundation.database.tables import SEALED, Sealed, metadata

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("entry_id", Uuid, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("targets", ARRAY(Uuid), nullable=False),
    Column("detail", JSONB, nullable=False),
    Index("audit_entries_by_time", "organization_id", "at", "entry_id"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("entry_id", Uuid, primary_key=True),
)
"""A registry: the audit entries that wait to become events, for the relay that visits their organizations."""

events = Table(
    "events",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("entry_id", Uuid, nullable=False),
    Column("relayed_at", DateTime(timezone=True), nullable=False),
)

event_streams = Table(
    "event_streams",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("last_sequence", BigInteger, nullable=False),
    Column("kept_from", BigInteger, nullable=False),
    Column("subscribed", Boolean, nullable=False),
    Column("followed_until", DateTime(timezone=True), nullable=False),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("operation", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_digest", LargeBinary, nullable=False),
    Column("result", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Index("idempotency_keys_by_age", "created_at"),
)

idempotent_requests = Table(
    "idempotent_requests",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("namespace", Text(collation="C"), primary_key=True),
    Column("key", Text(collation="C"), primary_key=True),
    Column("route", Text, nullable=False),
    Column("request_digest", LargeBinary),
    Column("state", Text, nullable=False),
    Column("lease_until", DateTime(timezone=True), nullable=False),
    Column("status", SmallInteger),
    Column("headers", JSONB),
    Column("row_id", Uuid, nullable=False),
    Column("body", LargeBinary, info={SEALED: Sealed(row_id="row_id")}),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Index("idempotent_requests_by_age", "created_at"),
)
