"""Background work of a server: it visits every organization in turn, and erases those whose time has come.

It works from state, as all upkeep does: what is to be done is what the tables show, so that no crash can lose it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from agentmem.errors import AgentMemError
from agentmem.foundation.authorization.caller import Caller, service_caller
from agentmem.foundation.jobs.upkeep import Schedule
from agentmem.kit.ids import OrganizationId
from agentmem.pipelines.administration.platform import Platform

Step = Callable[[Caller], Awaitable[object]]
VISITED_AT_ONCE: Final = 500
log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Sweeper:
    """Visits every organization with a list of steps, each of which may fail without harm to the others."""

    steps: Sequence[Step]
    platform: Platform
    seconds: float

    def schedules(self) -> Sequence[Schedule]:
        """Give the rounds, each of which one of all workers makes when its time has come."""
        return (
            Schedule(name="upkeep", seconds=self.seconds, run=self.sweep),
            Schedule(name="erasures", seconds=self.seconds, run=self.erase_due),
        )

    async def keep_forgetting(self) -> None:
        """Drop the keys of organizations that another process has erased, again and again until cancelled."""
        while True:
            await asyncio.sleep(self.seconds)
            with _survived("forgetting the keys of erased organizations"):
                await self.platform.forget_erased()

    async def sweep(self) -> int:
        """Visit every organization once, and say how many they were."""
        after: OrganizationId | None = None
        visited = 0
        while found := await self.platform.service.all_ids(after, VISITED_AT_ONCE):
            for organization_id in found:
                await self._visit(service_caller(organization_id))
            visited += len(found)
            after = found[-1]
        return visited

    async def erase_due(self) -> int:
        """Erase the organizations whose grace has ended, and say how many.

        Each is looked at again when its turn comes: erasing those before it may have taken hours.
        """
        erased = 0
        for organization_id in await self.platform.service.due():
            with _survived("erasing an organization", organization=str(organization_id)):
                erased += await self.platform.erase(organization_id)
        return erased

    async def _visit(self, caller: Caller) -> None:
        for step in self.steps:
            with _survived(step.__qualname__, organization=str(caller.organization_id)):
                await step(caller)


@contextmanager
def _survived(work: str, **told: str) -> Iterator[None]:
    """Log whatever goes wrong inside: the next round may do better, and the other work goes on."""
    try:
        yield
    except AgentMemError as error:
        log.warning("sweep_failed", work=work, reason=error.code, **told)
    except Exception as fault:  # noqa: BLE001  # a duty that ends unseen is never done again
        log.error("sweep_failed", work=work, error=type(fault).__name__, **told)  # noqa: TRY400  # no content in logs
