"""Events: what the audit trail tells to those who asked, in an order of its own, and webhooks that it is sent to.

The outbox is a registry as those of revision 0003: ids alone, of which a tenant sees its own rows and the relay all.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"

TENANT_TABLES = ("events", "event_streams", "webhooks", "webhook_deliveries", "webhook_attempts")
REGISTRIES = ("outbox",)

EVENTS = """
CREATE TABLE agentmem.outbox (
    organization_id uuid NOT NULL,
    entry_id uuid NOT NULL,
    PRIMARY KEY (organization_id, entry_id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE TABLE agentmem.events (
    organization_id uuid NOT NULL,
    sequence bigint NOT NULL,
    entry_id uuid NOT NULL,
    relayed_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, sequence)
);
CREATE TABLE agentmem.event_streams (
    organization_id uuid PRIMARY KEY,
    last_sequence bigint NOT NULL,
    kept_from bigint NOT NULL,
    subscribed boolean NOT NULL,
    followed_until timestamptz NOT NULL
);
"""

WEBHOOKS = """
CREATE TABLE agentmem.webhooks (
    organization_id uuid NOT NULL,
    webhook_id uuid NOT NULL,
    types text[] NOT NULL,
    enabled boolean NOT NULL,
    disabled_reason text,
    sealed bytea NOT NULL,
    old_key_until timestamptz,
    failures integer NOT NULL,
    failing_since timestamptz,
    resting_until timestamptz,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    version integer NOT NULL,
    PRIMARY KEY (organization_id, webhook_id)
);
CREATE TABLE agentmem.webhook_deliveries (
    organization_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    webhook_id uuid NOT NULL,
    message_id uuid NOT NULL,
    type text NOT NULL,
    sequence bigint,
    state text NOT NULL,
    tries integer NOT NULL,
    created_at timestamptz NOT NULL,
    due_at timestamptz,
    ended_at timestamptz,
    PRIMARY KEY (organization_id, delivery_id),
    FOREIGN KEY (organization_id, webhook_id) REFERENCES agentmem.webhooks (organization_id, webhook_id)
        ON DELETE CASCADE,
    CONSTRAINT delivery_state CHECK (state IN ('pending', 'delivered', 'failed')),
    CONSTRAINT delivery_due CHECK ((state = 'pending') = (due_at IS NOT NULL))
);
CREATE INDEX webhook_deliveries_of_webhook ON agentmem.webhook_deliveries (organization_id, webhook_id, delivery_id);
CREATE INDEX webhook_deliveries_due ON agentmem.webhook_deliveries (organization_id, webhook_id, due_at)
    WHERE due_at IS NOT NULL;
CREATE INDEX webhook_deliveries_ended ON agentmem.webhook_deliveries (organization_id, ended_at)
    WHERE ended_at IS NOT NULL;
CREATE TABLE agentmem.webhook_attempts (
    organization_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    attempt integer NOT NULL,
    at timestamptz NOT NULL,
    status smallint,
    error text,
    duration_ms integer NOT NULL,
    PRIMARY KEY (organization_id, delivery_id, attempt),
    FOREIGN KEY (organization_id, delivery_id) REFERENCES agentmem.webhook_deliveries (organization_id, delivery_id)
        ON DELETE CASCADE
);
"""

OWN = "organization_id = (SELECT agentmem.current_organization())"


def upgrade() -> None:
    """Make the tables."""
    op.execute(EVENTS)
    op.execute(WEBHOOKS)
    for table in (*TENANT_TABLES, *REGISTRIES):
        name = f"agentmem.{table}"
        condition = f"{OWN} OR (SELECT agentmem.acts_as_system())" if table in REGISTRIES else OWN
        op.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_organization ON {name} USING ({condition}) WITH CHECK ({condition})")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO agentmem_app")
