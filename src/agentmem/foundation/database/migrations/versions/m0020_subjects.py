"""Keys of subjects, in a schema (or a database) of their own, and what is said of a subject in the store itself.

A subject is whom a ``user_id`` names. What is said of one is found by a keyed hash of the id. ``KEYS`` is also run on a
key database apart, where nothing else of the store is.
"""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0012"

KEYS = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'agentmem_app') THEN
        CREATE ROLE agentmem_app NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
    END IF;
    IF NOT pg_has_role(current_user, 'agentmem_app', 'SET') THEN
        EXECUTE format('GRANT agentmem_app TO %I', current_user);
    END IF;
END $$;
CREATE SCHEMA agentmem_keys;
GRANT USAGE ON SCHEMA agentmem_keys TO agentmem_app;
CREATE TABLE agentmem_keys.subject_keys (
    organization_id uuid NOT NULL,
    subject bytea NOT NULL,
    key_id uuid NOT NULL,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, subject)
);
CREATE UNIQUE INDEX subject_keys_by_id ON agentmem_keys.subject_keys (organization_id, key_id);
CREATE TABLE agentmem_keys.erasures (
    organization_id uuid NOT NULL,
    subject bytea NOT NULL,
    erased_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, subject, erased_at)
);
"""

OWN_KEYS = "organization_id = nullif(current_setting('agentmem.organization_id', true), '')::uuid"
WALLS = "".join(
    f"""
ALTER TABLE agentmem_keys.{table} ENABLE ROW LEVEL SECURITY;
ALTER TABLE agentmem_keys.{table} FORCE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON agentmem_keys.{table} USING ({OWN_KEYS}) WITH CHECK ({OWN_KEYS});
GRANT {rights} ON agentmem_keys.{table} TO agentmem_app;
"""
    for table, rights in (("subject_keys", "SELECT, INSERT, UPDATE, DELETE"), ("erasures", "SELECT, INSERT"))
)

SUBJECTS = """
CREATE TABLE agentmem.subjects (
    organization_id uuid NOT NULL,
    subject bytea NOT NULL,
    user_id text,
    erasing boolean NOT NULL DEFAULT false,
    restricted boolean NOT NULL DEFAULT false,
    held boolean NOT NULL DEFAULT false,
    destroyed_keys uuid[] NOT NULL DEFAULT '{}',
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, subject)
);
CREATE INDEX subjects_restricted ON agentmem.subjects (organization_id) WHERE restricted;
ALTER TABLE agentmem.subjects ENABLE ROW LEVEL SECURITY;
ALTER TABLE agentmem.subjects FORCE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON agentmem.subjects
    USING (organization_id = (SELECT agentmem.current_organization()))
    WITH CHECK (organization_id = (SELECT agentmem.current_organization()));
GRANT SELECT, INSERT, UPDATE, DELETE ON agentmem.subjects TO agentmem_app;

CREATE FUNCTION agentmem.subject_lock(subject bytea) RETURNS integer LANGUAGE sql STABLE
    AS $$ SELECT hashtext(agentmem.current_organization()::text || (get_byte(subject, 0) & 15)::text) $$;

-- Keeps subjects from being erased until the transaction ends, and names those that may not be written about, or not
-- under the key that was asked for.
CREATE FUNCTION agentmem.hold_subjects(asked bytea[], keys uuid[])
    RETURNS TABLE (subject bytea, erasing boolean, restricted boolean, destroyed boolean) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(x'7375626a'::integer, locks.number)
        FROM (SELECT DISTINCT agentmem.subject_lock(one) AS number FROM unnest(asked) AS one ORDER BY 1) AS locks;
    RETURN QUERY
        SELECT s.subject, s.erasing, s.restricted, pair.key_id = ANY (s.destroyed_keys)
        FROM agentmem.subjects AS s JOIN unnest(asked, keys) AS pair (subject, key_id) ON s.subject = pair.subject
        WHERE s.organization_id = agentmem.current_organization()
          AND (s.erasing OR s.restricted OR pair.key_id = ANY (s.destroyed_keys));
END $$;
"""


def upgrade() -> None:
    """Make the tables."""
    for script in (KEYS, WALLS, SUBJECTS):
        op.execute(script)
