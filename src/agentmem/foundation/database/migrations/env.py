"""Alembic's entry: runs migrations on the connection that the caller opened."""

from __future__ import annotations

from alembic import context

from agentmem.foundation.database.tables import SCHEMA

context.configure(
    connection=context.config.attributes["connection"], version_table_schema=SCHEMA, transaction_per_migration=True
)
with context.begin_transaction():
    context.run_migrations()
