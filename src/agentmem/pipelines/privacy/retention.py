"""Retention: what an organization's rules keep no longer is removed for good, day by day, in jobs that can go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agentmem.errors import NotFound
from agentmem.features.memories.jobs import RETAIN
from agentmem.features.memories.retention import MemoryRetention
from agentmem.features.organizations.platform import PlatformService
from agentmem.features.organizations.policies import PolicyService
from agentmem.foundation.authorization.caller import Caller, service_caller
from agentmem.foundation.jobs.model import Job, Work
from agentmem.foundation.jobs.upkeep import Schedule
from agentmem.kit.ids import OrganizationId
from agentmem.schemas.policies import PolicyKind, RetentionPolicy
from agentmem.schemas.retention import RetentionReport, RetentionRule

DAY_SECONDS: Final = 24 * 3600.0
VISITED_AT_ONCE: Final = 500


@dataclass(frozen=True, kw_only=True)
class Retention:
    """Does what the policies ``retention`` say."""

    memories: MemoryRetention
    policies: PolicyService
    platform: PlatformService

    def works(self) -> Sequence[Work]:
        """Give the job that removes."""
        return (Work(kind=RETAIN, run=self._remove),)

    def schedules(self) -> Sequence[Schedule]:
        """Give the daily round."""
        return (Schedule(name="retention", seconds=DAY_SECONDS, run=self.order_due),)

    async def report(self, caller: Caller, *, dry_run: bool) -> RetentionReport:
        """Say what the rules would remove now and, without a dry run, have a job remove it."""
        rules = await self._rules(caller.organization_id)
        outcomes = [await self.memories.due(caller, rule) for rule in rules]
        return RetentionReport(rules=outcomes, job_id=None if dry_run else await self.memories.order(caller))

    async def order_due(self) -> int:
        """Ask for a job in every organization that has something to remove, and say how many."""
        ordered = 0
        after: OrganizationId | None = None
        while found := await self.platform.all_ids(after, VISITED_AT_ONCE):
            for organization_id in found:
                ordered += await self._order_due(organization_id)
            after = found[-1]
        return ordered

    async def _order_due(self, organization_id: OrganizationId) -> bool:
        caller = service_caller(organization_id)
        try:
            for rule in await self._rules(organization_id):
                if (await self.memories.due(caller, rule)).memories:
                    await self.memories.order(caller)
                    return True
        except NotFound:  # erased in this moment
            pass
        return False

    async def _remove(self, caller: Caller, job: Job) -> None:
        for rule in await self._rules(caller.organization_id):
            while removed := await self.memories.remove(caller, rule):
                job.progress.done += removed

    async def _rules(self, organization_id: OrganizationId) -> Sequence[RetentionRule]:
        (policy,) = await self.policies.of([organization_id], PolicyKind.RETENTION)
        return policy.rules if isinstance(policy, RetentionPolicy) else ()
