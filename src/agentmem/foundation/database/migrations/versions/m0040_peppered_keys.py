"""What is stored of an API key's secret is sealed, so that it is of no use to whoever has the table alone."""

from __future__ import annotations

from alembic import op

revision = "0040"
down_revision = "0031"


def upgrade() -> None:
    """Make the column; keys from before it are sealed by the next rotation of the data key."""
    op.execute("ALTER TABLE agentmem.api_keys ADD COLUMN sealed_mac bytea")
