"""Accounts of people, what they prove themselves with, where they are members, and what organizations ask of them.

Accounts belong to the platform's organization. Where an account is a member is a registry as those of revision 0003:
ids alone, of which a tenant sees its own rows and the system all.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"

TENANT_TABLES = (
    "accounts",
    "account_passwords",
    "account_mails",
    "sign_in_failures",
    "invitations",
    "organization_policies",
)
REGISTRIES = ("account_memberships",)

ACCOUNTS = """
CREATE TABLE agentmem.accounts (
    organization_id uuid NOT NULL,
    account_id uuid NOT NULL,
    email_mac bytea NOT NULL,
    sealed bytea NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    verified_at timestamptz,
    disabled_at timestamptz,
    valid_after timestamptz NOT NULL,
    version integer NOT NULL,
    PRIMARY KEY (organization_id, account_id),
    UNIQUE (organization_id, email_mac)
);
CREATE TABLE agentmem.account_passwords (
    organization_id uuid NOT NULL,
    account_id uuid NOT NULL,
    number integer NOT NULL,
    sealed bytea NOT NULL,
    set_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, account_id, number),
    FOREIGN KEY (organization_id, account_id) REFERENCES agentmem.accounts (organization_id, account_id)
        ON DELETE CASCADE
);
CREATE TABLE agentmem.account_mails (
    organization_id uuid NOT NULL,
    mail_id uuid NOT NULL,
    purpose text NOT NULL,
    account_id uuid,
    sealed bytea NOT NULL,
    token_mac bytea,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, mail_id),
    FOREIGN KEY (organization_id, account_id) REFERENCES agentmem.accounts (organization_id, account_id)
        ON DELETE CASCADE
);
CREATE INDEX account_mails_of_account ON agentmem.account_mails (organization_id, account_id);
CREATE INDEX account_mails_ended ON agentmem.account_mails (organization_id, expires_at);
CREATE TABLE agentmem.sign_in_failures (
    organization_id uuid NOT NULL,
    subject bytea NOT NULL,
    device uuid NOT NULL,
    failures integer NOT NULL,
    consecutive integer NOT NULL,
    tried_at timestamptz NOT NULL,
    locked_until timestamptz,
    PRIMARY KEY (organization_id, subject, device)
) WITH (fillfactor = 70);
CREATE INDEX sign_in_failures_by_age ON agentmem.sign_in_failures (organization_id, tried_at);
"""

ORGANIZATIONS = """
ALTER TABLE agentmem.members ADD COLUMN account_id uuid;
CREATE UNIQUE INDEX members_by_account ON agentmem.members (organization_id, account_id) WHERE account_id IS NOT NULL;
CREATE TABLE agentmem.account_memberships (
    account_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    member_id uuid NOT NULL,
    PRIMARY KEY (account_id, organization_id)
);
CREATE TABLE agentmem.invitations (
    organization_id uuid NOT NULL,
    invitation_id uuid NOT NULL,
    role text NOT NULL,
    sealed bytea NOT NULL,
    token_mac bytea,
    invited_by text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, invitation_id)
);
CREATE TABLE agentmem.organization_policies (
    organization_id uuid NOT NULL,
    kind text COLLATE "C" NOT NULL,
    body jsonb NOT NULL,
    updated_at timestamptz NOT NULL,
    version integer NOT NULL,
    PRIMARY KEY (organization_id, kind)
);
"""

OWN = "organization_id = (SELECT agentmem.current_organization())"


def upgrade() -> None:
    """Make the tables, and the column that ties a member to its account."""
    op.execute(ACCOUNTS)
    op.execute(ORGANIZATIONS)
    for table in (*TENANT_TABLES, *REGISTRIES):
        name = f"agentmem.{table}"
        condition = f"{OWN} OR (SELECT agentmem.acts_as_system())" if table in REGISTRIES else OWN
        op.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_organization ON {name} USING ({condition}) WITH CHECK ({condition})")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO agentmem_app")
