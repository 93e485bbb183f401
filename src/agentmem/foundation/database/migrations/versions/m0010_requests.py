"""From where requests may come, and the keys that sign them."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"

TENANT_TABLES = ("network_rules", "request_keys")

TABLES = """
CREATE TABLE agentmem.network_rules (
    organization_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    reach text NOT NULL,
    list text NOT NULL,
    network text NOT NULL,
    reason text NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    PRIMARY KEY (organization_id, rule_id),
    CONSTRAINT network_rule_reach CHECK (reach IN ('organization', 'installation')),
    CONSTRAINT network_rule_list CHECK (list IN ('allow', 'deny'))
);
CREATE TABLE agentmem.request_keys (
    organization_id uuid NOT NULL,
    request_key_id text COLLATE "C" NOT NULL,
    key_id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    algorithm text NOT NULL,
    public_key bytea,
    sealed bytea,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz,
    PRIMARY KEY (organization_id, request_key_id),
    FOREIGN KEY (organization_id, key_id) REFERENCES agentmem.api_keys (organization_id, key_id) ON DELETE CASCADE,
    CONSTRAINT request_key_algorithm CHECK (algorithm IN ('ed25519', 'hmac-sha256')),
    CONSTRAINT request_key_material CHECK (
        (algorithm = 'ed25519' AND public_key IS NOT NULL AND sealed IS NULL)
        OR (algorithm = 'hmac-sha256' AND public_key IS NULL AND sealed IS NOT NULL)
    )
);
CREATE INDEX request_keys_of_key ON agentmem.request_keys (organization_id, key_id);
"""

OWN = "organization_id = (SELECT agentmem.current_organization())"


def upgrade() -> None:
    """Make the tables."""
    op.execute(TABLES)
    for table in TENANT_TABLES:
        name = f"agentmem.{table}"
        op.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_organization ON {name} USING ({OWN}) WITH CHECK ({OWN})")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO agentmem_app")
