"""Tables of sessions and of their refresh tokens; all rows are the platform's organization's, as accounts are."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    text,
)

from agentmem.foundation.database.tables import SCHEMA, SEALED, Sealed, metadata

account_sessions = Table(
    "account_sessions",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("session_id", Uuid, primary_key=True),
    Column("account_id", Uuid, nullable=False),
    Column("acting_organization_id", Uuid, nullable=False),
    Column("member_id", Uuid, nullable=False),
    Column("methods", ARRAY(Text), nullable=False),
    Column("level", Text, nullable=False),
    Column("device", LargeBinary, nullable=False, info={SEALED: Sealed(row_id="session_id")}),
    Column("authenticated_at", DateTime(timezone=True), nullable=False),
    Column("last_seen_at", DateTime(timezone=True), nullable=False),
    Column("idle_seconds", Integer, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("end_reason", Text),
    ForeignKeyConstraint(
        ["organization_id", "account_id"],
        [f"{SCHEMA}.accounts.organization_id", f"{SCHEMA}.accounts.account_id"],
        ondelete="CASCADE",
    ),
    Index(
        "account_sessions_open",
        "organization_id",
        "account_id",
        "session_id",
        postgresql_where=text("ended_at IS NULL"),
    ),
    Index("account_sessions_by_expiry", "organization_id", "expires_at"),
)
"""``organization_id`` is the platform's; ``acting_organization_id`` is where the member is whom the account acts as."""

refresh_families = Table(
    "refresh_families",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("family_id", Uuid, primary_key=True),
    Column("session_id", Uuid, nullable=False),
    Column("account_id", Uuid, nullable=False),
    Column("current_mac", LargeBinary, nullable=False),
    Column("previous_mac", LargeBinary),
    Column("rotated_at", DateTime(timezone=True), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("grace_seconds", Integer, nullable=False),
    Column("idle_seconds", Integer, nullable=False),
    Column("idle_until", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("end_reason", Text),
    ForeignKeyConstraint(
        ["organization_id", "session_id"],
        [f"{SCHEMA}.account_sessions.organization_id", f"{SCHEMA}.account_sessions.session_id"],
        ondelete="CASCADE",
    ),
    Index("refresh_families_of_session", "organization_id", "session_id"),
)
