"""Tables of webhooks, of what is sent to them, and of each time that it was sent."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

from agentmem.foundation.database.tables import SCHEMA, SEALED, Sealed, metadata

webhooks = Table(
    "webhooks",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("webhook_id", Uuid, primary_key=True),
    Column("types", ARRAY(Text), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("disabled_reason", Text),
    Column("sealed", LargeBinary, nullable=False, info={SEALED: Sealed(row_id="webhook_id", version="version")}),
    Column("old_key_until", DateTime(timezone=True)),
    Column("failures", Integer, nullable=False),
    Column("failing_since", DateTime(timezone=True)),
    Column("resting_until", DateTime(timezone=True)),
    Column("created_by", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("version", Integer, nullable=False),
)
"""``sealed`` holds what only its organization may read: the URL, the description and the signing keys."""

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("delivery_id", Uuid, primary_key=True),
    Column("webhook_id", Uuid, nullable=False),
    Column("message_id", Uuid, nullable=False),
    Column("type", Text, nullable=False),
    Column("sequence", BigInteger),
    Column("state", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    ForeignKeyConstraint(
        ["organization_id", "webhook_id"],
        [f"{SCHEMA}.webhooks.organization_id", f"{SCHEMA}.webhooks.webhook_id"],
        ondelete="CASCADE",
    ),
    CheckConstraint("state IN ('pending', 'delivered', 'failed')", name="delivery_state"),
    CheckConstraint("(state = 'pending') = (due_at IS NOT NULL)", name="delivery_due"),
    Index("webhook_deliveries_of_webhook", "organization_id", "webhook_id", "delivery_id"),
    Index(
        "webhook_deliveries_due",
        "organization_id",
        "webhook_id",
        "due_at",
        postgresql_where=text("due_at IS NOT NULL"),
    ),
    Index("webhook_deliveries_ended", "organization_id", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
)
"""``tries`` counts the attempts since the delivery was last asked for; the attempts are all of them."""

webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("delivery_id", Uuid, primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("status", SmallInteger),
    Column("error", Text),
    Column("duration_ms", Integer, nullable=False),
    ForeignKeyConstraint(
        ["organization_id", "delivery_id"],
        [f"{SCHEMA}.webhook_deliveries.organization_id", f"{SCHEMA}.webhook_deliveries.delivery_id"],
        ondelete="CASCADE",
    ),
)
