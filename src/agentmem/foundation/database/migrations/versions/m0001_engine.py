"""The memory engine: organizations, keys, memories, what makes them findable, ledger.

Every table's key starts with ``organization_id``; row-level security is forced, so that it binds the owner as well.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

TENANT_TABLES = (
    "organizations",
    "encryption_keys",
    "audit_entries",
    "idempotency_keys",
    "memories",
    "sessions",
    "index_settings",
    "index_entries",
    "vectors",
    "postings",
    "scope_statistics",
)
APPEND_ONLY = ("audit_entries", "organizations", "encryption_keys")

CORE = """
CREATE TABLE agentmem.organizations (
    organization_id uuid PRIMARY KEY,
    name text NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE TABLE agentmem.encryption_keys (
    organization_id uuid NOT NULL,
    key_id uuid NOT NULL,
    purpose text NOT NULL,
    subject text,
    wrapped bytea NOT NULL,
    provider text NOT NULL,
    provider_key_id text NOT NULL,
    created_at timestamptz NOT NULL,
    retired_at timestamptz,
    PRIMARY KEY (organization_id, key_id)
);
CREATE TABLE agentmem.audit_entries (
    organization_id uuid NOT NULL,
    entry_id uuid NOT NULL,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    outcome text NOT NULL,
    targets uuid[] NOT NULL,
    detail jsonb NOT NULL,
    PRIMARY KEY (organization_id, entry_id)
);
CREATE TABLE agentmem.idempotency_keys (
    organization_id uuid NOT NULL,
    operation text NOT NULL,
    key text NOT NULL,
    request_digest bytea NOT NULL,
    result jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, operation, key)
);
CREATE INDEX idempotency_keys_by_age ON agentmem.idempotency_keys (created_at);
"""

MEMORIES = """
CREATE TABLE agentmem.memories (
    organization_id uuid NOT NULL,
    memory_id uuid NOT NULL,
    version integer NOT NULL,
    place bigint NOT NULL,
    change text NOT NULL,
    changed_by text NOT NULL,
    user_id text,
    agent_id text,
    run_id text,
    app_id text,
    kind text NOT NULL,
    role text,
    origin text NOT NULL,
    authority text NOT NULL,
    content bytea NOT NULL,
    actor bytea,
    content_digest bytea NOT NULL,
    metadata jsonb NOT NULL,
    importance double precision NOT NULL,
    pinned boolean NOT NULL,
    occurred_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    known_until timestamptz,
    superseded_at timestamptz,
    superseded_by uuid,
    expires_at timestamptz,
    deleted_at timestamptz,
    PRIMARY KEY (organization_id, memory_id, version)
);
CREATE UNIQUE INDEX memories_current ON agentmem.memories (organization_id, memory_id) WHERE known_until IS NULL;
CREATE INDEX memories_by_place ON agentmem.memories (organization_id, place);
CREATE INDEX memories_by_user ON agentmem.memories (organization_id, user_id, memory_id) WHERE known_until IS NULL;
CREATE INDEX memories_by_digest ON agentmem.memories (organization_id, content_digest) WHERE known_until IS NULL;
CREATE SEQUENCE agentmem.session_numbers;
CREATE TABLE agentmem.sessions (
    organization_id uuid NOT NULL,
    session_no bigint NOT NULL DEFAULT nextval('agentmem.session_numbers'),
    user_id text,
    agent_id text,
    run_id text NOT NULL,
    app_id text,
    last_position integer NOT NULL,
    PRIMARY KEY (organization_id, session_no)
);
CREATE UNIQUE INDEX sessions_by_scope ON agentmem.sessions (organization_id, run_id, user_id, agent_id, app_id)
    NULLS NOT DISTINCT;
"""

INDEXES = """
CREATE TABLE agentmem.index_settings (
    organization_id uuid PRIMARY KEY,
    embedding_model text NOT NULL
);
CREATE TABLE agentmem.index_entries (
    organization_id uuid NOT NULL,
    model text NOT NULL,
    place bigint NOT NULL,
    memory_id uuid NOT NULL,
    version integer NOT NULL,
    user_id text NOT NULL,
    length integer NOT NULL,
    speakers bigint[] NOT NULL,
    entry bytea NOT NULL,
    PRIMARY KEY (organization_id, model, place)
) WITH (toast_tuple_target = 8160);
ALTER TABLE agentmem.index_entries ALTER COLUMN entry SET STORAGE MAIN;
CREATE TABLE agentmem.vectors (
    organization_id uuid NOT NULL,
    model text NOT NULL,
    place bigint NOT NULL,
    user_id text NOT NULL,
    live boolean NOT NULL DEFAULT true,
    graph smallint,
    embedding halfvec NOT NULL,
    PRIMARY KEY (organization_id, model, place)
);
ALTER TABLE agentmem.vectors ALTER COLUMN embedding SET STORAGE PLAIN;
CREATE INDEX vectors_by_user ON agentmem.vectors (organization_id, model, user_id);
CREATE INDEX vectors_outside_graph ON agentmem.vectors (organization_id, model, user_id) WHERE graph IS NULL;
CREATE INDEX vectors_graph_384 ON agentmem.vectors USING hnsw ((embedding::halfvec(384)) halfvec_ip_ops)
    WHERE graph = 384;
CREATE TABLE agentmem.postings (
    organization_id uuid NOT NULL,
    term bigint NOT NULL,
    user_id text NOT NULL,
    first_place bigint NOT NULL,
    packed bytea NOT NULL,
    PRIMARY KEY (organization_id, term, user_id, first_place)
) WITH (toast_tuple_target = 8160);
ALTER TABLE agentmem.postings ALTER COLUMN packed SET STORAGE MAIN;
CREATE TABLE agentmem.scope_statistics (
    organization_id uuid NOT NULL,
    user_id text NOT NULL,
    shard smallint NOT NULL,
    documents bigint NOT NULL,
    length bigint NOT NULL,
    PRIMARY KEY (organization_id, user_id, shard)
) WITH (fillfactor = 50);
"""

CURRENT_ORGANIZATION = """
CREATE FUNCTION agentmem.current_organization() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(current_setting('agentmem.organization_id', true), '')::uuid $$;
"""

ROLE = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'agentmem_app') THEN
        CREATE ROLE agentmem_app NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
    END IF;
    IF NOT pg_has_role(current_user, 'agentmem_app', 'SET') THEN
        EXECUTE format('GRANT agentmem_app TO %I', current_user);
    END IF;
END $$;
GRANT USAGE ON SCHEMA agentmem TO agentmem_app;
GRANT USAGE ON SEQUENCE agentmem.session_numbers TO agentmem_app;
GRANT SELECT ON agentmem.alembic_version TO agentmem_app;
"""


def upgrade() -> None:
    """Make everything."""
    for script in (CORE, MEMORIES, INDEXES, CURRENT_ORGANIZATION, ROLE):
        op.execute(script)
    for table in TENANT_TABLES:
        name = f"agentmem.{table}"
        op.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY own_organization ON {name} "
            "USING (organization_id = (SELECT agentmem.current_organization())) "
            "WITH CHECK (organization_id = (SELECT agentmem.current_organization()))"
        )
        op.execute(f"GRANT SELECT, INSERT ON {name} TO agentmem_app")
        if table not in APPEND_ONLY:
            op.execute(f"GRANT UPDATE, DELETE ON {name} TO agentmem_app")
