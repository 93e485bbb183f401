"""Second factors of accounts, recovery codes, passkeys, and sign-ins that wait for a factor."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"

TABLES = ("totp_factors", "recovery_codes", "passkeys", "factor_codes", "factor_failures", "sign_in_challenges")

FACTORS = """
CREATE TABLE agentmem.totp_factors (
    organization_id uuid NOT NULL,
    account_id uuid NOT NULL,
    sealed bytea NOT NULL,
    last_step bigint NOT NULL,
    created_at timestamptz NOT NULL,
    confirmed_at timestamptz,
    PRIMARY KEY (organization_id, account_id),
    FOREIGN KEY (organization_id, account_id) REFERENCES agentmem.accounts (organization_id, account_id)
        ON DELETE CASCADE
);
CREATE TABLE agentmem.recovery_codes (
    organization_id uuid NOT NULL,
    account_id uuid NOT NULL,
    code_mac bytea NOT NULL,
    PRIMARY KEY (organization_id, account_id, code_mac),
    FOREIGN KEY (organization_id, account_id) REFERENCES agentmem.accounts (organization_id, account_id)
        ON DELETE CASCADE
);
CREATE TABLE agentmem.passkeys (
    organization_id uuid NOT NULL,
    passkey_id uuid NOT NULL,
    account_id uuid NOT NULL,
    credential_mac bytea NOT NULL,
    sealed bytea NOT NULL,
    sign_count bigint NOT NULL,
    created_at timestamptz NOT NULL,
    last_used_at timestamptz,
    PRIMARY KEY (organization_id, passkey_id),
    UNIQUE (organization_id, credential_mac),
    FOREIGN KEY (organization_id, account_id) REFERENCES agentmem.accounts (organization_id, account_id)
        ON DELETE CASCADE
);
CREATE INDEX passkeys_of_account ON agentmem.passkeys (organization_id, account_id, passkey_id);
CREATE TABLE agentmem.factor_codes (
    organization_id uuid NOT NULL,
    account_id uuid NOT NULL,
    kind text NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL,
    confirmed_at timestamptz,
    code_mac bytea,
    expires_at timestamptz,
    tries_left integer NOT NULL,
    PRIMARY KEY (organization_id, account_id, kind),
    FOREIGN KEY (organization_id, account_id) REFERENCES agentmem.accounts (organization_id, account_id)
        ON DELETE CASCADE
);
CREATE TABLE agentmem.factor_failures (
    organization_id uuid NOT NULL,
    account_id uuid NOT NULL,
    failures integer NOT NULL,
    PRIMARY KEY (organization_id, account_id),
    FOREIGN KEY (organization_id, account_id) REFERENCES agentmem.accounts (organization_id, account_id)
        ON DELETE CASCADE
);
CREATE TABLE agentmem.sign_in_challenges (
    organization_id uuid NOT NULL,
    challenge_digest bytea NOT NULL,
    account_id uuid NOT NULL,
    acting_in uuid NOT NULL,
    role text NOT NULL,
    amr text[] NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, challenge_digest),
    FOREIGN KEY (organization_id, account_id) REFERENCES agentmem.accounts (organization_id, account_id)
        ON DELETE CASCADE
);
CREATE INDEX sign_in_challenges_of_account ON agentmem.sign_in_challenges (organization_id, account_id, expires_at);
"""

OWN = "organization_id = (SELECT agentmem.current_organization())"


def upgrade() -> None:
    """Make the tables."""
    op.execute(FACTORS)
    for table in TABLES:
        name = f"agentmem.{table}"
        op.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_organization ON {name} USING ({OWN}) WITH CHECK ({OWN})")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO agentmem_app")
