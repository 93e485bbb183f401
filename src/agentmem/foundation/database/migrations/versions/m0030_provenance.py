"""Provenance: who wrote each memory, with what, from which source, and from which other memories it was derived.

The application's role may add and remove these rows, and change nothing of one but the seal of its source, which is
bound to the row: a new key may seal it anew.
"""

from __future__ import annotations

from alembic import op

revision = "0030"
down_revision = "0022"

TENANT_TABLES = ("memory_provenance", "memory_parents")

PROVENANCE = """
CREATE TABLE agentmem.memory_provenance (
    organization_id uuid NOT NULL,
    memory_id uuid NOT NULL,
    principal text NOT NULL,
    api_key text,
    request_id text,
    origin text NOT NULL,
    source bytea,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, memory_id)
);
CREATE INDEX memory_provenance_by_writer
    ON agentmem.memory_provenance (organization_id, principal, origin, recorded_at);
CREATE TABLE agentmem.memory_parents (
    organization_id uuid NOT NULL,
    parent_id uuid NOT NULL,
    memory_id uuid NOT NULL,
    PRIMARY KEY (organization_id, parent_id, memory_id)
);
CREATE INDEX memory_parents_of_memory ON agentmem.memory_parents (organization_id, memory_id);
"""

OWN = "organization_id = (SELECT agentmem.current_organization())"


def upgrade() -> None:
    """Make the tables."""
    op.execute(PROVENANCE)
    for table in TENANT_TABLES:
        name = f"agentmem.{table}"
        op.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_organization ON {name} USING ({OWN}) WITH CHECK ({OWN})")
        op.execute(f"GRANT SELECT, INSERT, DELETE ON {name} TO agentmem_app")
    op.execute("GRANT UPDATE (source) ON agentmem.memory_provenance TO agentmem_app")
