"""A worker: takes drains and schedules from the queue until it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final
from uuid import UUID

import structlog

from agentmem.errors import AgentMemError
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.system import SystemPurpose
from agentmem.foundation.jobs.drain import Drains
from agentmem.foundation.jobs.tables import DRAIN
from agentmem.foundation.jobs.upkeep import SCHEDULE, Schedule, due, fire, take_back
from agentmem.kit.ids import OrganizationId

if TYPE_CHECKING:
    from agentmem.foundation.jobs.connector import PoolConnector

TAKE_BACK: Final = 3.0
"""Seconds between two looks for what dead workers have left."""
AGAIN: Final = 1.0
"""Seconds until a worker that has ended by itself, for the database was away, starts again."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Worker:
    """Does what the queue holds, ``at_once`` drains at the same time, and the schedules.

    ``queues`` names the organizations whose jobs it does; by default those of all, and the platform's. When it is
    cancelled, it begins nothing more, and what runs has ``grace`` seconds to end.
    """

    database: Database
    drains: Drains
    schedules: Sequence[Schedule] = ()
    queues: Sequence[str] | None = None
    at_once: int
    grace: float
    due: Callable[[Mapping[str, tuple[int, float]]], None]
    """Is told again and again, by kind, how many organizations have jobs that wait, and for how many seconds."""

    async def run(self) -> None:
        """Work until cancelled; an outage of the database delays it and does not end it."""
        # Loaded only here, and beside what runs: a program that stores one memory does without it.
        library = await asyncio.to_thread(import_module, "agentmem.foundation.jobs.connector")
        connector: PoolConnector = library.PoolConnector(self.database)
        stopping = asyncio.Event()

        async def drain(organization_id: str, kind: str) -> None:
            with _told(kind):
                await self.drains.drain(OrganizationId(UUID(organization_id)), kind, stopping.is_set)

        tasks = {DRAIN: drain, SCHEDULE: self._run_schedule}
        options = {"queues": self.queues, "at_once": self.at_once, "grace": self.grace}
        beside = [asyncio.create_task(self._take_back(connector)), asyncio.create_task(self._fire())]
        try:
            while True:
                await _work(library.work(connector, tasks, **options), stopping)
                await asyncio.sleep(AGAIN)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _run_schedule(self, name: str) -> None:
        for schedule in self.schedules:
            if schedule.name == name:
                with _told(name):
                    await schedule.run()

    async def _take_back(self, connector: PoolConnector) -> None:
        while True:
            await asyncio.sleep(TAKE_BACK)
            with suppress(AgentMemError):  # the next look finds it as well
                async with self.database.system(SystemPurpose.WORK) as tx:
                    taken = await take_back(tx, connector.worker_id, connector.running)
                    waiting = await due(tx)
                self.due(waiting)
                if taken:
                    log.info("jobs_taken_back", queued=taken)

    async def _fire(self) -> None:
        pause = min([AGAIN, *(schedule.seconds for schedule in self.schedules)])
        while self.schedules:
            with suppress(AgentMemError):  # late, and not lost: its time stays what it was
                async with self.database.system(SystemPurpose.WORK) as tx:
                    await fire(tx, self.schedules)
            await asyncio.sleep(pause)


@contextmanager
def _told(work: str) -> Iterator[None]:
    """Log what goes wrong inside; it is queued anew for that."""
    try:
        yield
    except AgentMemError as error:
        log.warning("work_failed", work=work, reason=error.code)
        raise
    except Exception as fault:
        log.error("work_failed", work=work, error=type(fault).__name__)  # noqa: TRY400  # no content in logs
        raise


async def _work(running: Coroutine[None, None, None], stopping: asyncio.Event) -> None:
    """Wait until the library's worker ends; when this is cancelled, it may end what it has begun."""
    working = asyncio.create_task(running)
    try:
        await asyncio.wait({working})
    except asyncio.CancelledError:
        stopping.set()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        raise
    fault = working.exception()
    log.warning("worker_starts_again", error=None if fault is None else type(fault).__name__)
