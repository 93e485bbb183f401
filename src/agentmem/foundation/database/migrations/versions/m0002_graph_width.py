"""How widely the vector graph is to be searched, which is measured on each organization's own vectors."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the width, and the number of vectors that it was measured with; absent until it is measured."""
    op.execute("ALTER TABLE agentmem.index_settings ADD COLUMN graph_width smallint, ADD COLUMN graph_vectors bigint")
