"""Tables of organizations, the tenants, and of their members."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from agentmem.foundation.database.tables import SEALED, Sealed, metadata

organizations = Table(
    "organizations",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)

organization_settings = Table(
    "organization_settings",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="active"),
    Column("status_reason", Text),
    Column("purge_after", DateTime(timezone=True)),
    Column("suspended_for", Text),
    Column("max_memories", BigInteger),
    Column("max_storage_bytes", BigInteger),
    Column("requests_per_minute", Integer),
    Column("require_if_match", Boolean, nullable=False, server_default=text("false")),
    Column("max_key_days", Integer, nullable=False, server_default=text("365")),
    Column("unused_key_days", Integer),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("version", Integer, nullable=False, server_default=text("1")),
    CheckConstraint("status IN ('active', 'suspended', 'deleting')", name="organization_status"),
)

members = Table(
    "members",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("member_id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("disabled_at", DateTime(timezone=True)),
    Column("version", Integer, nullable=False),
    Column("account_id", Uuid),
    Index(
        "members_by_account",
        *("organization_id", "account_id"),
        unique=True,
        postgresql_where=text("account_id IS NOT NULL"),
    ),
)

account_memberships = Table(
    "account_memberships",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("organization_id", Uuid, primary_key=True),
    Column("member_id", Uuid, nullable=False),
)
"""A registry: where an account is a member, and as which."""

invitations = Table(
    "invitations",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("invitation_id", Uuid, primary_key=True),
    Column("role", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False, info={SEALED: Sealed(row_id="invitation_id", version=1)}),
    Column("token_mac", LargeBinary),
    Column("invited_by", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
)

organization_policies = Table(
    "organization_policies",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("kind", Text(collation="C"), primary_key=True),
    Column("body", JSONB, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("version", Integer, nullable=False),
)

network_rules = Table(
    "network_rules",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("rule_id", Uuid, primary_key=True),
    Column("reach", Text, nullable=False),
    Column("list", Text, nullable=False),
    Column("network", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True)),
)

organization_directory = Table(
    "organization_directory",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("purge_after", DateTime(timezone=True)),
    Column("erased_at", DateTime(timezone=True)),
)
"""A registry: which organizations there are, for the sweeps that visit all of them; it outlives their rows."""
