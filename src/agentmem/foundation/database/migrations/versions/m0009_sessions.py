"""Sessions of people, the refresh tokens of each, and the keys that sign access tokens.

All rows are the platform's organization's, as accounts are: tenant tables like any other.
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"

TENANT_TABLES = ("account_sessions", "refresh_families", "signing_keys")

SESSIONS = """
CREATE TABLE agentmem.account_sessions (
    organization_id uuid NOT NULL,
    session_id uuid NOT NULL,
    account_id uuid NOT NULL,
    acting_organization_id uuid NOT NULL,
    member_id uuid NOT NULL,
    methods text[] NOT NULL,
    level text NOT NULL,
    device bytea NOT NULL,
    authenticated_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    idle_seconds integer NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    end_reason text,
    PRIMARY KEY (organization_id, session_id),
    FOREIGN KEY (organization_id, account_id) REFERENCES agentmem.accounts (organization_id, account_id)
        ON DELETE CASCADE
);
CREATE INDEX account_sessions_open ON agentmem.account_sessions (organization_id, account_id, session_id)
    WHERE ended_at IS NULL;
CREATE INDEX account_sessions_by_expiry ON agentmem.account_sessions (organization_id, expires_at);
CREATE TABLE agentmem.refresh_families (
    organization_id uuid NOT NULL,
    family_id uuid NOT NULL,
    session_id uuid NOT NULL,
    account_id uuid NOT NULL,
    current_mac bytea NOT NULL,
    previous_mac bytea,
    rotated_at timestamptz NOT NULL,
    generation integer NOT NULL,
    grace_seconds integer NOT NULL,
    idle_seconds integer NOT NULL,
    idle_until timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    end_reason text,
    PRIMARY KEY (organization_id, family_id),
    FOREIGN KEY (organization_id, session_id) REFERENCES agentmem.account_sessions (organization_id, session_id)
        ON DELETE CASCADE
);
CREATE INDEX refresh_families_of_session ON agentmem.refresh_families (organization_id, session_id);
"""

SIGNING_KEYS = """
CREATE TABLE agentmem.signing_keys (
    organization_id uuid NOT NULL,
    key_id uuid NOT NULL,
    kid text COLLATE "C" NOT NULL,
    public jsonb NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL,
    signs_from timestamptz NOT NULL,
    checks_until timestamptz,
    PRIMARY KEY (organization_id, key_id)
);
"""

OWN = "organization_id = (SELECT agentmem.current_organization())"


def upgrade() -> None:
    """Make the tables."""
    op.execute(SESSIONS)
    op.execute(SIGNING_KEYS)
    for table in TENANT_TABLES:
        name = f"agentmem.{table}"
        op.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_organization ON {name} USING ({OWN}) WITH CHECK ({OWN})")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO agentmem_app")
