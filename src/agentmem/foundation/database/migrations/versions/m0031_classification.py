"""Classification: how a memory may be handled, and metadata values that are sealed and found by their keyed hashes.

``sensitive_keys`` tells every writer, within its own transaction, which keys of metadata its organization has sealed.
"""

from __future__ import annotations

from alembic import op

revision = "0031"
down_revision = "0030"

COLUMNS = """
ALTER TABLE agentmem.memories
    ADD COLUMN classification text NOT NULL DEFAULT 'internal',
    ADD COLUMN sealed_metadata bytea,
    ADD COLUMN blind_index jsonb NOT NULL DEFAULT '{}'
"""

SENSITIVE_KEYS = """
CREATE FUNCTION agentmem.sensitive_keys() RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT ARRAY(
        SELECT jsonb_array_elements_text(policy.body -> 'sensitive_keys')
        FROM agentmem.organization_policies policy
        WHERE policy.organization_id = agentmem.current_organization() AND policy.kind = 'classification'
    )
$$
"""


def upgrade() -> None:
    """Add the columns and the function."""
    op.execute(COLUMNS)
    op.execute(SENSITIVE_KEYS)
