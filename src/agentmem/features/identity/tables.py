"""Tables of API keys and of what they were used for."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
)

from agentmem.features.identity.model import key_number
from agentmem.foundation.database.tables import SEALED, Sealed, metadata

api_keys = Table(
    "api_keys",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("key_id", Text(collation="C"), primary_key=True),
    Column("member_id", Uuid, nullable=False),
    Column("created_by", Uuid, nullable=False),
    Column("parent_key_id", Text(collation="C")),
    Column("name", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("secret_mac", LargeBinary, nullable=False),
    Column("mac_version", SmallInteger, nullable=False),
    Column("sealed_mac", LargeBinary, info={SEALED: Sealed(row_id="key_id", version=1, as_id=key_number)}),
    Column("last_four", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("bound_user_id", Text),
    Column("bound_agent_id", Text),
    Column("bound_run_id", Text),
    Column("bound_app_id", Text),
    Column("networks", ARRAY(Text), nullable=False),
    Column("requests_per_minute", Integer),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("rotated_from", Text(collation="C")),
    Column("made_with", Text(collation="C")),
    Column("revoked_at", DateTime(timezone=True)),
    Column("revoke_reason", Text),
    Column("last_used_at", DateTime(timezone=True)),
    Column("version", Integer, nullable=False),
    # The members are another feature's: named here, so that the row cannot point to one of another organization.
    ForeignKeyConstraint(
        ["organization_id", "member_id"], ["agentmem.members.organization_id", "agentmem.members.member_id"]
    ),
    ForeignKeyConstraint(
        ["organization_id", "parent_key_id"], ["agentmem.api_keys.organization_id", "agentmem.api_keys.key_id"]
    ),
    Index("api_keys_by_member", "organization_id", "member_id"),
)

api_key_directory = Table(
    "api_key_directory",
    metadata,
    Column("key_id", Text(collation="C"), primary_key=True),
    Column("organization_id", Uuid, nullable=False),
)
"""A registry: whose an API key is, because its text names no organization."""

key_usage = Table(
    "key_usage",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("key_id", Text(collation="C"), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("route", Text, primary_key=True),
    Column("status_class", SmallInteger, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("cost", BigInteger, nullable=False),
)
