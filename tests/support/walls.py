"""The two walls between organizations, each of which a test may take away; and all rows that an organization has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from psycopg import sql
from sqlalchemy import FromClause, true
from sqlalchemy.sql import ColumnElement

from agentmem.bootstrap import App, _assemble
from agentmem.bootstrap.opened import Opened
from agentmem.features.organizations.policies import PolicyService
from agentmem.features.organizations.rules import Rules
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.tables import SCHEMA
from agentmem.foundation.inference.shared import SharedQueries
from agentmem.foundation.state.port import State
from agentmem.foundation.telemetry.watchers import Watchers
from agentmem.pipelines.retrieval.embeddings import QueryEmbeddings
from tests.support.stores import Owner


def everything(_table: FromClause) -> ColumnElement[bool]:
    """Ask for the rows of every organization."""
    return true()


@asynccontextmanager
async def unfiltered_database(app: App) -> AsyncIterator[Database]:
    """Give the database without the first wall: statements ask for the rows of everybody."""
    database = Database.open(app.server, app.database.provider, pool_size=2, tenant_filter=everything)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def row_security_off(owner: Owner) -> AsyncIterator[None]:
    """Take the second wall away; the tests of a worker run one after the other.

    The statements wait for whoever reads a table, in a thread: what this process has running must be able to end.
    """
    await asyncio.to_thread(_alter, owner, "DISABLE")
    try:
        yield
    finally:
        await asyncio.to_thread(_alter, owner, "ENABLE")


def _alter(owner: Owner, change: str) -> None:
    for name in tables(owner):
        statement = sql.SQL("ALTER TABLE {} " + change + " ROW LEVEL SECURITY")
        owner.execute(statement.format(sql.Identifier(SCHEMA, name)))


def tables(owner: Owner) -> list[str]:
    """Name the tables that hold rows of organizations."""
    rows = owner.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = %s::regnamespace", [SCHEMA]
    )
    return sorted(str(name) for (name,) in rows if name != "alembic_version")


def rows_of(owner: Owner, organization_id: UUID) -> dict[str, list[str]]:
    """Read all that an organization has, as text."""
    statement = "SELECT t::text FROM {} t WHERE organization_id = %s ORDER BY 1"
    return {
        name: [
            str(row)
            for (row,) in owner.execute(sql.SQL(statement).format(sql.Identifier(SCHEMA, name)), [organization_id])
        ]
        for name in tables(owner)
    }


@asynccontextmanager
async def app_over(app: App, database: Database, state: State | None = None) -> AsyncIterator[App]:
    """Give the same application over another database, and over a state that it shares with other servers."""
    shared = None if state is None else SharedQueries(state=state, keys=database.keys)
    embeddings = QueryEmbeddings(shared=shared)
    opened = Opened(
        settings=app.settings,
        caller=app.caller,
        database=database,
        searches=database,
        server=app.server,
        models=app.models,
        state=state or app.state,
        passwords=app.accounts.passwords,
        embeddings=embeddings,
        reranking=None,
        fetcher=None,
        rules=Rules(PolicyService(database=database)),
        sender=None,
        mailer=None,
        watchers=Watchers(),
        guards=app.guards,
    )
    made = _assemble(opened)
    try:
        yield made
    finally:
        await made.admission.aclose()
        await embeddings.aclose()


def stored_of(owner: Owner, organization_id: UUID) -> dict[str, object]:
    """Read what an organization has, without the traces that requests leave: their counts, and when a key was used."""
    rows: dict[str, object] = {**rows_of(owner, organization_id)}
    del rows["key_usage"]
    keys = owner.execute(
        "SELECT (to_jsonb(k) - 'last_used_at')::text FROM agentmem.api_keys k WHERE organization_id = %s ORDER BY 1",
        [organization_id],
    )
    return {**rows, "api_keys": keys.fetchall()}
