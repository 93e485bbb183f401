"""Rotation: rows of keys can be wrapped anew, retired and removed, and nothing is written under a retired key."""

from __future__ import annotations

from alembic import op

revision = "0021"
down_revision = "0020"

ENTER = """
CREATE OR REPLACE FUNCTION agentmem.enter(organization uuid, data_key uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('agentmem.organization_id', organization::text, true);
    PERFORM pg_advisory_xact_lock_shared(x'65726173'::integer, hashtext(organization::text));
    RETURN EXISTS (SELECT FROM agentmem.encryption_keys
                   WHERE organization_id = organization AND key_id = data_key AND retired_at IS NULL);
END $$;
"""


def upgrade() -> None:
    """Grant the rights, and let a transaction that writes begin with the present key alone."""
    op.execute(
        "GRANT UPDATE (wrapped, provider_key_id, retired_at), DELETE ON agentmem.encryption_keys TO agentmem_app"
    )
    op.execute(ENTER)
