"""Schedules of workers: run by one of them at a time, again and again, whatever goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from agentmem import AsyncMemory
from agentmem.foundation.jobs.upkeep import Schedule
from agentmem.foundation.jobs.worker import Worker
from tests.support.jobs import working
from tests.support.patience import eventually


def every_moment(memory: AsyncMemory, run: Callable[[], Awaitable[None]]) -> Worker:
    """Give a worker of the organization with a schedule whose time has always come."""
    queue = str(memory.app.caller.organization_id)
    schedule = Schedule(name=f"test {queue}", seconds=0.01, run=run, queue=queue)
    return replace(memory.app.worker, schedules=(schedule,), queues=[queue], grace=0.0)


async def test_schedule_is_run_by_one_worker_of_many_at_a_time(memory: AsyncMemory) -> None:
    inside, together = set[int](), list[int]()

    async def run() -> None:
        inside.add(len(together))
        together.append(len(inside))
        await asyncio.sleep(0.1)
        inside.clear()

    async def often() -> bool:
        return len(together) > 3

    worker = every_moment(memory, run)
    async with working(worker, worker, worker):
        await eventually(often)

    assert set(together) == {1}


async def test_schedule_comes_again_after_whatever_goes_wrong(memory: AsyncMemory) -> None:
    rounds: list[int] = []

    async def break_down() -> None:
        rounds.append(1)
        raise ZeroDivisionError("a round that nobody thought of")

    async def came_again() -> bool:
        return len(rounds) > 1

    async with working(every_moment(memory, break_down)):
        await eventually(came_again)
