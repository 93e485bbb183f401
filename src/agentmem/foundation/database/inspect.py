"""What only the owner of the database sees and does: facts about the server, vacuum, graph indexes, sole work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import psycopg
import structlog
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from agentmem.errors import AgentMemError, ConfigurationError, Conflict, DatabaseUnavailable
from agentmem.foundation.database.connect import Server, connect_as_owner
from agentmem.foundation.database.failures import translated
from agentmem.foundation.database.migrate import OLDEST_PGVECTOR, bring_up_to_date
from agentmem.foundation.database.tables import SCHEMA, metadata
from agentmem.kit.ids import OrganizationId

MOST_GRAPH_DIMENSIONS: Final = 4000
"""Half-precision vectors up to this length can be in an HNSW graph (pgvector 0.8)."""

ERASED_AT_ONCE: Final = 10_000
_SERVING_LOCK: Final = 0x73657276  # "serv" in ASCII
_SERVING_SECONDS: Final = 5.0
_SOLE_LOCK: Final = 0x736F6C65  # "sole" in ASCII
_GRAPH_LOCK: Final = 0x67726170  # "grap" in ASCII
_ERASING_LOCK: Final = 0x65726173  # "eras" in ASCII; agentmem.enter has it too

log = structlog.get_logger(__name__)

_FACTS: Final = """
SELECT current_setting('server_version'),
       (SELECT extversion FROM pg_extension WHERE extname = 'vector'),
       (SELECT version_num FROM agentmem.alembic_version),
       current_setting('fsync')::boolean AND current_setting('full_page_writes')::boolean,
       pg_database_size(current_database()),
       (SELECT coalesce(checksum_failures, 0) FROM pg_stat_database WHERE datname = current_database()),
       coalesce((SELECT rolsuper OR rolbypassrls OR rolcanlogin FROM pg_roles WHERE rolname = 'agentmem_app'), true),
       ARRAY(SELECT relname::text FROM pg_class
             WHERE relnamespace = 'agentmem'::regnamespace AND relkind IN ('r', 'p') AND relname <> 'alembic_version'
               AND NOT (relrowsecurity AND relforcerowsecurity
                        AND EXISTS (SELECT FROM pg_policy WHERE polrelid = pg_class.oid))
             ORDER BY 1),
       ARRAY(SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
             WHERE relnamespace = 'agentmem'::regnamespace AND NOT (indisvalid AND indisready) ORDER BY 1)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerFacts:
    """What the server says of itself; ``incompatible`` says what is wrong with its versions, if anything is."""

    postgresql: str
    pgvector: str
    revision: str
    incompatible: str | None
    synced_writes: bool
    database_bytes: int
    damaged_pages: int
    role_unrestricted: bool
    unprotected_tables: tuple[str, ...]
    invalid_indexes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Caretaker:
    """Works on the database as its owner; each call opens a connection of its own and closes it."""

    server: Server

    async def facts(self) -> ServerFacts:
        """Read what the server says of itself."""
        return await asyncio.to_thread(self._facts)

    async def vacuum(self) -> None:
        """Free the space of removed rows for new ones, and bring the planner's statistics up to date."""
        await asyncio.to_thread(self._vacuum)

    async def rewrite(self) -> None:
        """Write every table and index anew and let go of the log before: removed rows leave no bytes behind.

        Whoever uses a table waits while it is written. Where the owner may not switch the log, that is left to time.
        """
        await asyncio.to_thread(self._rewrite)

    async def ensure_graph(self, dimensions: int) -> bool:
        """Make the HNSW graph for vectors of this length unless it is there; say no if pgvector has none so long."""
        if dimensions > MOST_GRAPH_DIMENSIONS:
            return False
        await asyncio.to_thread(self._ensure_graph, dimensions)
        return True

    @asynccontextmanager
    async def sole(self, organization_id: OrganizationId, work: str) -> AsyncIterator[None]:
        """Be the only process that does this work in the organization; raises :class:`Conflict` if another is at it.

        The lock is the connection's, so that it ends with the process, however that ends.
        """
        async with self._connected() as connection:
            taken = connection.execute(
                "SELECT pg_try_advisory_lock(%s, hashtext(%s))", (_SOLE_LOCK, f"{organization_id} {work}")
            ).fetchone()
            if taken is None or not taken[0]:
                raise Conflict(f"Another process is at it already: {work}.", hint="Wait for it to end.")
            yield

    @asynccontextmanager
    async def serving(self, *, shared: bool) -> AsyncIterator[None]:
        """Say that a server works on this database; servers that share no state must be alone on it.

        ``shared`` is for a server whose state is in Redis. Raises :class:`ConfigurationError` if another server is
        there and the two do not share their state. The lock ends with the process, however that ends; it is taken again
        after the database was away.
        """
        async with AsyncExitStack() as connections:
            connection = await connections.enter_async_context(self._serving_connection(shared=shared))
            keeping = asyncio.create_task(self._keep_serving(connections, connection, shared=shared))
            try:
                yield
            finally:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)

    @asynccontextmanager
    async def _serving_connection(self, *, shared: bool) -> AsyncIterator[Connection[TupleRow]]:
        async with self._connected() as connection:
            function = "pg_try_advisory_lock_shared" if shared else "pg_try_advisory_lock"
            statement = sql.SQL("SELECT {}(%s)").format(sql.Identifier(function))
            with translated():
                taken = connection.execute(statement, (_SERVING_LOCK,)).fetchone()
            if taken is None or not taken[0]:
                raise ConfigurationError(
                    "Another server uses this database, and the two do not share Redis.",
                    hint="Set AGENTMEM_REDIS_URL for both, or stop the other one.",
                )
            try:
                yield connection
            finally:
                # The server notices a closed connection a moment later, and whoever comes next would be refused.
                with suppress(psycopg.OperationalError):
                    connection.execute("SELECT pg_advisory_unlock_all()")

    async def _keep_serving(
        self, connections: AsyncExitStack, connection: Connection[TupleRow], *, shared: bool
    ) -> None:
        """Look now and then whether the connection that holds the lock is still there, and take it again if not."""
        while True:
            await asyncio.sleep(_SERVING_SECONDS)
            try:
                await asyncio.to_thread(connection.execute, "SELECT")
            except psycopg.OperationalError:
                try:
                    connection = await connections.enter_async_context(self._serving_connection(shared=shared))
                except ConfigurationError as error:
                    log.error("database_is_not_ours_alone", reason=error.message)  # noqa: TRY400  # all there is to say
                except DatabaseUnavailable as error:  # looked at again in a while
                    log.warning("serving_lock_waits", code=error.code)

    async def erase_organization(self, organization_id: OrganizationId, now: datetime) -> int | None:
        """Remove every row of an organization for good, and say how many; the registry keeps its id and the time.

        ``None`` if it is not to be erased now: nothing is believed but what its own row says while it is locked. The
        first transaction removes what makes it an organization: its settings, its API keys and, without which nothing
        sealed opens, its encryption keys. The rest is resumable: what is removed stays removed.
        """
        return await asyncio.to_thread(self._erase, organization_id, now)

    async def remove_organization(self, organization_id: OrganizationId) -> None:
        """Remove every row of an organization that came back with a backup, whatever it says of itself."""
        await asyncio.to_thread(self._remove_organization, organization_id)

    def _remove_organization(self, organization_id: OrganizationId) -> None:
        with translated(), self._connect() as connection:
            connection.execute("SELECT set_config('agentmem.organization_id', %s, false)", (str(organization_id),))
            _empty_all(connection, organization_id)

    def _erase(self, organization_id: OrganizationId, now: datetime) -> int | None:
        with translated(), self._connect() as connection:
            # Forced row security binds an owner that is no superuser too.
            connection.execute("SELECT set_config('agentmem.organization_id', %s, false)", (str(organization_id),))
            with connection.transaction():
                if not _is_due(connection, organization_id, now):
                    return None
                removed = sum(_remove(connection, table, organization_id) for table in _ERASED_FIRST)
            removed += _empty_all(connection, organization_id)
        return removed

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection[TupleRow]]:
        connecting = asyncio.ensure_future(asyncio.to_thread(self._connect))
        try:
            connection = await asyncio.shield(connecting)
        except asyncio.CancelledError:
            with suppress(AgentMemError):
                # A thread cannot be stopped: what it opens is closed.
                (await connecting).close()
            raise
        try:
            yield connection
        finally:
            await asyncio.to_thread(connection.close)

    def _connect(self) -> Connection[TupleRow]:
        with translated():
            self.server.ensure_running()
            connection = connect_as_owner(self.server)
            connection.autocommit = True
            return connection

    def _facts(self) -> ServerFacts:
        with translated(), self._connect() as connection:
            row = connection.execute(_FACTS).fetchone()
            if row is None:
                raise AssertionError("a SELECT without FROM gives one row")
            postgresql, pgvector, revision, synced, size, damaged, unrestricted, unprotected, invalid = row
            return ServerFacts(
                postgresql=str(postgresql).split(" ", 1)[0],
                pgvector=str(pgvector),
                revision=str(revision),
                incompatible=_incompatibility(connection, str(pgvector)),
                synced_writes=bool(synced),
                database_bytes=int(size),
                damaged_pages=int(damaged),
                role_unrestricted=bool(unrestricted),
                unprotected_tables=tuple(unprotected),
                invalid_indexes=tuple(invalid),
            )

    def _vacuum(self) -> None:
        with translated(), self._connect() as connection:
            names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (SCHEMA,)).fetchall()
            tables = sql.SQL(", ").join(sql.Identifier(SCHEMA, str(name)) for (name,) in names)
            connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(tables))

    def _rewrite(self) -> None:
        with translated(), self._connect() as connection:
            found = connection.execute(
                "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN (%s, 'agentmem_keys')", (SCHEMA,)
            ).fetchall()
            for schema, name in found:
                table = sql.Identifier(str(schema), str(name))
                connection.execute(sql.SQL("VACUUM (FULL, ANALYZE) {}").format(table))
            with suppress(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT pg_switch_wal()")
                connection.execute("CHECKPOINT")

    def _ensure_graph(self, dimensions: int) -> None:
        name = f"vectors_graph_{dimensions}"
        with translated(), self._connect() as connection, connection.transaction():
            found = connection.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.{name}",)).fetchone()
            if found is not None and found[0] is not None:
                return
            connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_GRAPH_LOCK, dimensions))
            # No vector is in a graph that does not exist yet, so that this reads the table once and writes nothing.
            statement = sql.SQL(
                "CREATE INDEX IF NOT EXISTS {name} ON {table} "
                "USING hnsw ((embedding::halfvec({dimensions})) halfvec_ip_ops) WHERE graph = {dimensions}"
            )
            connection.execute(
                statement.format(
                    name=sql.Identifier(name),
                    table=sql.Identifier(SCHEMA, "vectors"),
                    dimensions=sql.Literal(dimensions),
                )
            )


_ERASED_FIRST: Final = ("api_keys", "encryption_keys", "organization_settings", "organizations")


def _is_due(connection: Connection[TupleRow], organization_id: OrganizationId, now: datetime) -> bool:
    """Tell whether an organization is to be erased, or its erasure was cut off; wait for those who write in it.

    They hold the same lock, shared, until their transactions end (``agentmem.enter``), so that none of them commits
    what is not seen here.
    """
    connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (_ERASING_LOCK, str(organization_id)))
    found = connection.execute(
        "SELECT status = 'deleting' AND purge_after <= %s FROM agentmem.organization_settings "
        "WHERE organization_id = %s FOR UPDATE",
        (now, organization_id),
    ).fetchone()
    if found is None:
        found = connection.execute(
            "SELECT purge_after <= %s FROM agentmem.organization_directory "
            "WHERE organization_id = %s AND erased_at IS NULL",
            (now, organization_id),
        ).fetchone()
    return found is not None and bool(found[0])


def _remove(connection: Connection[TupleRow], table: str, organization_id: OrganizationId) -> int:
    statement = sql.SQL("DELETE FROM {} WHERE organization_id = %s").format(sql.Identifier(SCHEMA, table))
    return connection.execute(statement, (organization_id,)).rowcount


def _empty_all(connection: Connection[TupleRow], organization_id: OrganizationId) -> int:
    removed = 0
    for table in reversed(metadata.sorted_tables):
        if table.name != "organization_directory":
            removed += _empty(connection, table.name, organization_id)
    connection.execute(
        "UPDATE agentmem.organization_directory SET erased_at = now() WHERE organization_id = %s", (organization_id,)
    )
    return removed


def _empty(connection: Connection[TupleRow], table: str, organization_id: OrganizationId) -> int:
    """Remove an organization's rows of one table in small transactions."""
    statement = sql.SQL(
        "DELETE FROM {name} WHERE organization_id = %s AND ctid = ANY (ARRAY("
        "SELECT ctid FROM {name} WHERE organization_id = %s LIMIT {limit}))"
    ).format(name=sql.Identifier(SCHEMA, table), limit=sql.Literal(ERASED_AT_ONCE))
    removed = 0
    while step := connection.execute(statement, (organization_id, organization_id)).rowcount:
        removed += step
    return removed


def _incompatibility(connection: Connection[TupleRow], pgvector: str) -> str | None:
    if tuple(int(part) for part in pgvector.split(".")) < OLDEST_PGVECTOR:
        return f"pgvector {pgvector} is too old."
    try:
        bring_up_to_date(connection, migrate=False)
    except AgentMemError as error:
        return error.message
    return None
