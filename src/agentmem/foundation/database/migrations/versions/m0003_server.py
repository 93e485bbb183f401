"""The server: organizations with settings, members and API keys, seals of the audit trail, usage, repeated requests.

Two tables are registries, which no tenant owns: which organizations there are, and whose an API key is. They hold ids
and times alone, and row-level security shows a tenant its own row of them; only a system transaction sees all.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

TENANT_TABLES = (
    "organization_settings",
    "members",
    "api_keys",
    "key_usage",
    "idempotent_requests",
    "audit_seals",
    "organization_usage",
)
REGISTRIES = ("organization_directory", "api_key_directory")
APPEND_ONLY = ("audit_seals",)

ORGANIZATIONS = """
CREATE TABLE agentmem.organization_settings (
    organization_id uuid PRIMARY KEY,
    display_name text NOT NULL,
    status text NOT NULL DEFAULT 'active',
    status_reason text,
    purge_after timestamptz,
    max_memories bigint,
    max_storage_bytes bigint,
    requests_per_minute integer,
    require_if_match boolean NOT NULL DEFAULT false,
    max_key_days integer NOT NULL DEFAULT 365,
    unused_key_days integer,
    updated_at timestamptz NOT NULL,
    version integer NOT NULL DEFAULT 1,
    CONSTRAINT organization_status CHECK (status IN ('active', 'suspended', 'deleting'))
);
CREATE TABLE agentmem.members (
    organization_id uuid NOT NULL,
    member_id uuid NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    kind text NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    disabled_at timestamptz,
    version integer NOT NULL,
    PRIMARY KEY (organization_id, member_id)
);
CREATE TABLE agentmem.organization_directory (
    organization_id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL,
    purge_after timestamptz,
    erased_at timestamptz
);
"""

KEYS = """
CREATE TABLE agentmem.api_keys (
    organization_id uuid NOT NULL,
    key_id text COLLATE "C" NOT NULL,
    member_id uuid NOT NULL,
    created_by uuid NOT NULL,
    parent_key_id text COLLATE "C",
    name text NOT NULL,
    environment text NOT NULL,
    secret_mac bytea NOT NULL,
    mac_version smallint NOT NULL,
    last_four text NOT NULL,
    scopes text[] NOT NULL,
    bound_user_id text,
    bound_agent_id text,
    bound_run_id text,
    bound_app_id text,
    networks text[] NOT NULL,
    requests_per_minute integer,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    rotated_from text COLLATE "C",
    revoked_at timestamptz,
    revoke_reason text,
    last_used_at timestamptz,
    version integer NOT NULL,
    PRIMARY KEY (organization_id, key_id),
    FOREIGN KEY (organization_id, member_id) REFERENCES agentmem.members (organization_id, member_id),
    FOREIGN KEY (organization_id, parent_key_id) REFERENCES agentmem.api_keys (organization_id, key_id)
);
CREATE INDEX api_keys_by_member ON agentmem.api_keys (organization_id, member_id);
CREATE TABLE agentmem.api_key_directory (
    key_id text COLLATE "C" PRIMARY KEY,
    organization_id uuid NOT NULL
);
CREATE TABLE agentmem.key_usage (
    organization_id uuid NOT NULL,
    key_id text COLLATE "C" NOT NULL,
    day date NOT NULL,
    route text NOT NULL,
    status_class smallint NOT NULL,
    requests bigint NOT NULL,
    cost bigint NOT NULL,
    PRIMARY KEY (organization_id, key_id, day, route, status_class)
);
"""

LEDGER = """
CREATE TABLE agentmem.idempotent_requests (
    organization_id uuid NOT NULL,
    namespace text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    route text NOT NULL,
    request_digest bytea,
    state text NOT NULL,
    lease_until timestamptz NOT NULL,
    status smallint,
    headers jsonb,
    row_id uuid NOT NULL,
    body bytea,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, namespace, key)
);
CREATE INDEX idempotent_requests_by_age ON agentmem.idempotent_requests (created_at);
CREATE TABLE agentmem.audit_seals (
    organization_id uuid NOT NULL,
    seal_no bigint NOT NULL,
    sealed_at timestamptz NOT NULL,
    entries uuid[] NOT NULL,
    previous bytea NOT NULL,
    digest bytea NOT NULL,
    PRIMARY KEY (organization_id, seal_no)
);
CREATE INDEX audit_entries_by_time ON agentmem.audit_entries (organization_id, at, entry_id);
CREATE TABLE agentmem.organization_usage (
    organization_id uuid NOT NULL,
    shard smallint NOT NULL,
    memories bigint NOT NULL,
    versions bigint NOT NULL,
    content_bytes bigint NOT NULL,
    PRIMARY KEY (organization_id, shard)
) WITH (fillfactor = 50);
"""

# Forced row security binds an owner that is no superuser as well: it would copy no row, and say nothing.
BACKFILL = """
ALTER TABLE agentmem.organizations NO FORCE ROW LEVEL SECURITY;
ALTER TABLE agentmem.memories NO FORCE ROW LEVEL SECURITY;
INSERT INTO agentmem.organization_directory (organization_id, created_at)
    SELECT organization_id, created_at FROM agentmem.organizations;
INSERT INTO agentmem.organization_settings (organization_id, display_name, updated_at)
    SELECT organization_id, name, created_at FROM agentmem.organizations;
INSERT INTO agentmem.organization_usage (organization_id, shard, memories, versions, content_bytes)
    SELECT organization_id, 0, count(*) FILTER (WHERE known_until IS NULL AND deleted_at IS NULL), count(*),
           sum(octet_length(content))
    FROM agentmem.memories GROUP BY organization_id;
ALTER TABLE agentmem.organizations FORCE ROW LEVEL SECURITY;
ALTER TABLE agentmem.memories FORCE ROW LEVEL SECURITY;
"""

SYSTEM = """
CREATE FUNCTION agentmem.acts_as_system() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT coalesce(current_setting('agentmem.system', true), '') = 'on' $$;
"""

OWN = "organization_id = (SELECT agentmem.current_organization())"


def upgrade() -> None:
    """Make the tables, and give the organizations that are there their rows in them."""
    for script in (ORGANIZATIONS, KEYS, LEDGER, BACKFILL, SYSTEM):
        op.execute(script)
    for table in (*TENANT_TABLES, *REGISTRIES):
        name = f"agentmem.{table}"
        condition = f"{OWN} OR (SELECT agentmem.acts_as_system())" if table in REGISTRIES else OWN
        op.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_organization ON {name} USING ({condition}) WITH CHECK ({condition})")
        op.execute(f"GRANT SELECT, INSERT ON {name} TO agentmem_app")
        if table not in APPEND_ONLY:
            op.execute(f"GRANT UPDATE, DELETE ON {name} TO agentmem_app")
