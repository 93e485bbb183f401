"""Single sign-on: whom the providers of organizations vouch for, and the secrets by which they know us."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"

TENANT_TABLES = ("federated_identities", "sso_secrets")

TABLES = """
CREATE TABLE agentmem.federated_identities (
    organization_id uuid NOT NULL,
    identity_mac bytea NOT NULL,
    account_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, identity_mac)
);
CREATE TABLE agentmem.sso_secrets (
    organization_id uuid NOT NULL,
    sealed bytea NOT NULL,
    version integer NOT NULL,
    PRIMARY KEY (organization_id)
);
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
