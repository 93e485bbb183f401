"""Erasures of persons: that one was asked for, what it removed, and when the tables were written anew after it."""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"

ERASURES = """
CREATE TABLE agentmem.erasures (
    organization_id uuid NOT NULL,
    erasure_id uuid NOT NULL,
    subject bytea NOT NULL,
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL,
    finished_at timestamptz,
    rewritten_at timestamptz,
    removed jsonb NOT NULL,
    PRIMARY KEY (organization_id, erasure_id)
);
ALTER TABLE agentmem.erasures ENABLE ROW LEVEL SECURITY;
ALTER TABLE agentmem.erasures FORCE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON agentmem.erasures
    USING (organization_id = (SELECT agentmem.current_organization()))
    WITH CHECK (organization_id = (SELECT agentmem.current_organization()));
GRANT SELECT, INSERT, UPDATE, DELETE ON agentmem.erasures TO agentmem_app;
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(ERASURES)
