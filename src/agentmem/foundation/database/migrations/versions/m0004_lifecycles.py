"""The ends of organizations and keys: what a restored organization goes back to, and with which key a key was made.

And one function that begins every transaction that writes. It holds the organization until the transaction ends and
tells whether the organization is still there, so that nothing is written for one that is being erased.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"

ENTER = """
CREATE FUNCTION agentmem.enter(organization uuid, data_key uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('agentmem.organization_id', organization::text, true);
    PERFORM pg_advisory_xact_lock_shared(x'65726173'::integer, hashtext(organization::text));
    RETURN EXISTS (SELECT FROM agentmem.encryption_keys
                   WHERE organization_id = organization AND key_id = data_key);
END $$;
"""

# Who rotated the keys that are there is not known: a key that could have made its successor is taken to have done so.
MADE_WITH = """
ALTER TABLE agentmem.api_keys ADD COLUMN made_with text COLLATE "C";
ALTER TABLE agentmem.api_keys NO FORCE ROW LEVEL SECURITY;
UPDATE agentmem.api_keys k SET made_with = CASE WHEN EXISTS (
        SELECT FROM agentmem.api_keys old
        WHERE old.organization_id = k.organization_id AND old.key_id = k.rotated_from AND 'key:write' = ANY (old.scopes)
    ) THEN k.rotated_from ELSE k.parent_key_id END;
ALTER TABLE agentmem.api_keys FORCE ROW LEVEL SECURITY;
"""


def upgrade() -> None:
    """Add the columns and the function."""
    op.execute("ALTER TABLE agentmem.organization_settings ADD COLUMN suspended_for text")
    op.execute(MADE_WITH)
    op.execute(ENTER)
