"""What every worker does beside jobs: taking back what dead workers left, and firing schedules, each once for all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import ARRAY, BigInteger, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import insert

from agentmem.foundation.database.system import SystemTransaction
from agentmem.foundation.jobs.tables import DRAIN, queue, schedules

SCHEDULE: Final = "schedule"
STALLED: Final = 15.0
"""Seconds after a worker's last heartbeat from which on it is taken for dead."""
PLATFORM: Final = "platform"
"""The queue of the work that belongs to no organization."""

_TAKE_BACK: Final = text("""
WITH lost AS (
    DELETE FROM agentmem_platform.procrastinate_jobs j
    WHERE status = 'doing' AND (
        worker_id IS NULL
        OR (worker_id = :mine AND id <> ALL (:running))
        OR EXISTS (SELECT FROM agentmem_platform.procrastinate_workers w
                   WHERE w.id = j.worker_id AND w.last_heartbeat < now() - make_interval(secs => :stalled))
    )
    RETURNING queue_name, task_name, lock, queueing_lock, args
)
INSERT INTO agentmem_platform.procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args, scheduled_at)
SELECT queue_name, task_name, lock, queueing_lock, args, now() FROM lost
ON CONFLICT (queueing_lock) WHERE status = 'todo' DO UPDATE SET scheduled_at = now()
""").bindparams(bindparam("running", type_=ARRAY(BigInteger)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """Work that is done every so many seconds by one worker of all; ``queue`` is an organization's, or the platform's.

    It is done again from the start when its worker dies, and is late rather than twice at once.
    """

    name: str
    seconds: float
    run: Callable[[], Awaitable[object]]
    queue: str = PLATFORM


async def take_back(tx: SystemTransaction, worker_id: int | None, running: Collection[int]) -> int:
    """Queue anew what dead workers hold, and what this one holds and does not do; say how much.

    The library would put the very row back. A new one cannot be ended by a worker that only seemed dead.
    """
    values = {"mine": worker_id, "running": list(running), "stalled": STALLED}
    return (await tx.execute(_TAKE_BACK, values)).rowcount


async def due(tx: SystemTransaction) -> dict[str, tuple[int, float]]:
    """Tell of each kind how many organizations wait for a worker, and for how many seconds the first of them."""
    kind = queue.c.args["kind"].astext
    since = func.extract("epoch", func.now() - func.min(queue.c.scheduled_at))
    waiting = select(kind, func.count(), since).where(
        queue.c.task_name == DRAIN, queue.c.status == text("'todo'"), queue.c.scheduled_at <= func.now()
    )
    return {
        str(name): (int(count), float(seconds)) for name, count, seconds in await tx.execute(waiting.group_by(kind))
    }


async def fire(tx: SystemTransaction, due: Sequence[Schedule]) -> None:
    """Queue the schedules whose time has come, and set their next; of workers that come at once one does."""
    for schedule in due:
        after = func.now() + timedelta(seconds=schedule.seconds)
        new = insert(schedules).values(name=schedule.name, next_at=after)
        moved = new.on_conflict_do_update(
            index_elements=[schedules.c.name],
            set_={"next_at": new.excluded.next_at},
            where=schedules.c.next_at <= func.now(),
        )
        if (await tx.execute(moved.returning(schedules.c.name))).first() is not None:
            name = f"{SCHEDULE} {schedule.name}"
            row = {
                "queue_name": schedule.queue,
                "task_name": SCHEDULE,
                "lock": name,
                "queueing_lock": name,
                "args": {"name": schedule.name},
                "scheduled_at": func.now(),
            }
            waiting = (
                insert(queue)
                .values(row)
                .on_conflict_do_nothing(
                    index_elements=[queue.c.queueing_lock], index_where=queue.c.status == text("'todo'")
                )
            )
            await tx.execute(waiting)
