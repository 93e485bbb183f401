"""The job that follows a change of an organization's sensitive keys; what is to be done is what the tables show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentmem.features.memories.sealing import MemorySealing
from agentmem.features.organizations.work import SEAL_METADATA
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.jobs.model import Job, Work


@dataclass(frozen=True, kw_only=True)
class MetadataSealing:
    """Seals the metadata of organizations as they say now."""

    stored: MemorySealing

    def works(self) -> Sequence[Work]:
        """Give the job that does it."""
        return (Work(kind=SEAL_METADATA, run=self._seal),)

    async def _seal(self, caller: Caller, job: Job) -> None:
        after, sealed = await self.stored.seal_metadata(caller, None)
        job.progress.done += sealed
        while after is not None:
            after, sealed = await self.stored.seal_metadata(caller, after)
            job.progress.done += sealed
