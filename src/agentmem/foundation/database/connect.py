"""Opening connections: as the owner for migrations, as the restricted role for everything else."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import psycopg
from psycopg.rows import AsyncRowFactory, TupleRow, tuple_row

from agentmem.errors import ConfigurationError, DatabaseUnavailable
from agentmem.foundation.resilience.breaker import BreakerRules
from agentmem.foundation.resilience.guarded import Guard
from agentmem.foundation.resilience.retry import RetryPolicy

APPLICATION: Final = "agentmem"
GRAPH_WIDTH: Final = 64
"""How widely the vector graph is searched (``ef_search``), unless a store's own vectors ask for more."""
SESSION_SETTINGS: Final = {
    "role": "agentmem_app",
    "timezone": "UTC",
    "jit": "off",
    # Every statement is keyed by its organization: one plan does for all values, made once and by way of an index, also
    # when it was made while the tables were still empty.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    # Filters must not starve a nearest-neighbour search: the graph is scanned on until enough rows have passed.
    "hnsw.iterative_scan": "relaxed_order",
    "hnsw.ef_search": str(GRAPH_WIDTH),
    "hnsw.max_scan_tuples": "100000",
}
DATABASE: Final = Guard(
    name="database",
    what="The database",
    error=DatabaseUnavailable,
    # Long enough for a server of our own that recovers from a crash; an attempt by itself has 10 seconds.
    seconds=60.0,
    most=100,
    waiting=0,
    # Only connecting is guarded: while none can be made nobody waits for one, and one attempt a second finds out.
    breaker=BreakerRules(open_seconds=1.0, successes=1),
    retry=RetryPolicy(attempts=4, base=0.1, cap=1.0),
)


KEY_DATABASE: Final = replace(DATABASE, name="key_database", what="The key database")


class Server(Protocol):
    """Where PostgreSQL is: ours, shared by processes, or somebody else's."""

    @property
    def conninfo(self) -> str:
        """The connection string of a role that may change the schema; secret."""
        ...

    def ensure_running(self) -> bool:
        """Start the server again if it has died and is ours, and tell whether it is; blocks."""
        ...

    def detach(self) -> None:
        """Let go of the server; ours stops with its last user. Blocks."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ExternalServer:
    """A PostgreSQL that somebody else runs."""

    conninfo: str = field(repr=False)

    def ensure_running(self) -> bool:
        """Do nothing: its operators start it."""
        return False

    def detach(self) -> None:
        """Do nothing: it is not ours."""


class BinaryCursor(psycopg.AsyncCursor[TupleRow]):
    """A cursor that fetches in binary: sealed bytes are not sent as hexadecimal text."""

    def __init__(
        self, connection: psycopg.AsyncConnection[TupleRow], *, row_factory: AsyncRowFactory[TupleRow] | None = None
    ) -> None:
        super().__init__(connection, row_factory=row_factory or tuple_row)
        self.format = psycopg.pq.Format.BINARY


def connect_as_owner(server: Server) -> psycopg.Connection[TupleRow]:
    """Open a connection that may change the schema; blocks."""
    check_conninfo(server.conninfo)
    return psycopg.connect(server.conninfo, application_name=APPLICATION, connect_timeout=10)


async def connect(server: Server) -> psycopg.AsyncConnection[TupleRow]:
    """Open a connection as the restricted role, which row-level security binds; starts our server if it has died."""
    try:
        return await _connect(server)
    except psycopg.OperationalError:
        if not await asyncio.to_thread(server.ensure_running):
            raise
        return await _connect(server)


async def _connect(server: Server) -> psycopg.AsyncConnection[TupleRow]:
    given = psycopg.conninfo.conninfo_to_dict(server.conninfo).get("options") or ""
    ours = " ".join(f"-c {name}={value}" for name, value in SESSION_SETTINGS.items())
    return await psycopg.AsyncConnection.connect(
        server.conninfo,
        application_name=APPLICATION,
        connect_timeout=10,
        options=f"{given} {ours}".strip(),
        cursor_factory=BinaryCursor,
        # Transactions are begun and bound to an organization in one text, by the database that hands them out.
        autocommit=True,
    )


def check_conninfo(conninfo: str, setting: str = "AGENTMEM_DATABASE_URL") -> None:
    """Refuse a malformed connection string of a setting without repeating it."""
    try:
        psycopg.conninfo.conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:
        raise ConfigurationError(
            f"{setting} is not a PostgreSQL connection string.",
            hint="Write postgresql://user:password@host/database.",
        ) from None
