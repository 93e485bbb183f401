"""The library of the queue, its way to the database being our pool; loaded only where jobs are done."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import psycopg
import structlog
from procrastinate import App
from procrastinate.app import WorkerOptions
from procrastinate.connector import BaseAsyncConnector
from procrastinate.sql import queries
from psycopg.rows import dict_row

from agentmem.errors import AgentMemError
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.system import SystemPurpose
from agentmem.foundation.database.tables import PLATFORM_SCHEMA
from agentmem.foundation.jobs.upkeep import STALLED

_SEARCH_PATH: Final = f"SET LOCAL search_path TO {PLATFORM_SCHEMA}".encode()
POLL: Final = 0.5
"""Seconds between two looks into the queue."""
HEARTBEAT: Final = 5.0
Row = dict[str, object]
log = structlog.get_logger(__name__)


class PoolConnector(BaseAsyncConnector):
    """Runs the library's statements, each in a system transaction, and notes what its worker has taken and not ended.

    A row that was taken and whose end could not be written (the database was away) would be held as long as the worker
    lives. So would one whose task was cut off. What is not in ``running`` is therefore given to others.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.running: set[int] = set()
        self.worker_id: int | None = None

    async def execute_query_async(self, query: str, **arguments: object) -> None:
        """Run a statement; the end of a row that was not done well is left to those who take back what is lost."""
        if query != queries["finish_job"]:
            await self._run(query, arguments)
            return
        try:
            if arguments["status"] == "succeeded":
                await self._run(query, arguments)
        except AgentMemError as error:
            log.warning("job_end_not_written", reason=error.code)
        finally:
            self.running.discard(int(str(arguments["job_id"])))

    async def execute_query_one_async(self, query: str, **arguments: object) -> Row:
        """Run a statement, and give its one row."""
        (row,) = await self._run(query, arguments)
        if query == queries["register_worker"]:
            self.worker_id = int(str(row["worker_id"]))
        elif query == queries["fetch_job"] and row["id"] is not None:
            self.running.add(int(str(row["id"])))
        return row

    async def execute_query_all_async(self, query: str, **arguments: object) -> list[Row]:
        """Run a statement, and give its rows."""
        return await self._run(query, arguments)

    async def _run(self, query: str, arguments: Row) -> list[Row]:
        async with self._database.system(SystemPurpose.WORK) as tx:
            await tx.driver.execute(_SEARCH_PATH)
            # Not the pool's own cursor: its binary format has no loader for the library's types.
            async with psycopg.AsyncCursor(tx.driver, row_factory=dict_row) as cursor:
                await cursor.execute(query.encode(), arguments)
                return await cursor.fetchall() if cursor.pgresult and cursor.pgresult.nfields else []


async def work(
    connector: PoolConnector,
    tasks: Mapping[str, Callable[..., Awaitable[None]]],
    *,
    queues: Sequence[str] | None,
    at_once: int,
    grace: float,
) -> None:
    """Have the library's worker run these tasks until it is cancelled; it ends by itself when its heartbeat fails.

    It is silent: it would write tracebacks to the standard error of whoever embeds us, and we log what happens.
    """
    library = logging.getLogger("procrastinate")
    library.addHandler(logging.NullHandler())
    library.propagate = False
    app = App(connector=connector)
    for name, run in tasks.items():
        app.task(name=name)(run)
    options: WorkerOptions = {
        "concurrency": at_once,
        "fetch_job_polling_interval": POLL,
        "update_heartbeat_interval": HEARTBEAT,
        "stalled_worker_timeout": STALLED,
        "shutdown_graceful_timeout": grace,
        "listen_notify": False,
        "install_signal_handlers": False,
        "delete_jobs": "always",
    }
    if queues is not None:
        options["queues"] = queues
    await app.run_worker_async(**options)
