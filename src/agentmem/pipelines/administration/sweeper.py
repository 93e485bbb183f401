"""Background work of a server: it visits every organization in turn, and erases those whose time has come.

It works from state, as all upkeep does: what is to be done is what the tables show, so that no crash can lose it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from agentmem.errors import AgentMemError, Conflict
from agentmem.features.organizations.model import platform_id
from agentmem.foundation.authorization.caller import Caller, service_caller
from agentmem.kit.ids import OrganizationId
from agentmem.pipelines.administration.platform import Platform

Step = Callable[[Caller], Awaitable[object]]
VISITED_AT_ONCE: Final = 500
SWEEPING: Final = "sweeping the organizations"
log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Sweeper:
    """Visits every organization with a list of steps, each of which may fail without harm to the others."""

    steps: Sequence[Step]
    platform: Platform
    seconds: float

    async def run(self) -> None:
        """Sweep again and again until cancelled; of several servers on one database one sweeps at a time."""
        while True:
            await asyncio.sleep(self.seconds)
            try:
                async with self.platform.caretaker.sole(platform_id(), SWEEPING):
                    await self.sweep()
            except Conflict:
                continue
            except AgentMemError as error:
                log.warning("sweep_failed", reason=error.code)

    async def sweep(self) -> int:
        """Visit every organization once, then erase those that are due, and say how many were visited."""
        after: OrganizationId | None = None
        visited = 0
        while found := await self.platform.service.all_ids(after, VISITED_AT_ONCE):
            for organization_id in found:
                await self._visit(service_caller(organization_id))
            visited += len(found)
            after = found[-1]
        await self.platform.erase_due()
        return visited

    async def _visit(self, caller: Caller) -> None:
        for step in self.steps:
            try:
                await step(caller)
            except AgentMemError as error:
                log.warning("sweep_step_failed", organization=str(caller.organization_id), reason=error.code)
