"""Fences: the number under which each work was begun last that one process of an organization does at a time."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"

FENCES = """
CREATE TABLE agentmem.fences (
    organization_id uuid NOT NULL,
    work text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (organization_id, work)
);
ALTER TABLE agentmem.fences ENABLE ROW LEVEL SECURITY;
ALTER TABLE agentmem.fences FORCE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON agentmem.fences
    USING (organization_id = (SELECT agentmem.current_organization()))
    WITH CHECK (organization_id = (SELECT agentmem.current_organization()));
GRANT SELECT, INSERT, UPDATE, DELETE ON agentmem.fences TO agentmem_app;
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(FENCES)
