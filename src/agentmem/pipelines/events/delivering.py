"""Delivering: what is due to a webhook is sent, between operations and never inside one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final
from uuid import UUID

from agentmem.errors import NotFound
from agentmem.features.webhooks.delivery import WebhookDeliveries
from agentmem.features.webhooks.model import Sending
from agentmem.features.webhooks.work import DELIVER, RETRY
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.jobs.model import Job, Work
from agentmem.foundation.outbound.port import Outcome, Sender

SENT_TOGETHER: Final = 8
"""Messages that one receiver is sent at once."""
SENT_BY_A_JOB: Final = 96
"""Messages after which others have their turn."""
MOST_SECONDS: Final = 5.0
"""Seconds after which no more are taken."""


@dataclass(frozen=True, kw_only=True)
class Delivering:
    """Sends what is due to one webhook at a time.

    A message is taken before it is sent, and noted after: a process that dies in between leaves it to be sent again,
    under the same id, by the next one after 20 seconds.
    """

    deliveries: WebhookDeliveries
    sender: Sender

    def works(self) -> Sequence[Work]:
        """Name the kinds of jobs that are done here."""
        return [Work(kind=kind, run=self.run) for kind in (DELIVER, RETRY)]

    async def run(self, caller: Caller, job: Job) -> None:
        """Do one of the jobs of :mod:`agentmem.features.webhooks.work`."""
        await self.deliver(caller, UUID(str(job.arguments["webhook_id"])))

    async def deliver(self, caller: Caller, webhook_id: UUID) -> int:
        """Send what is due, see to it that the rest follows in time, and say how many messages were sent."""
        sent, ends = 0, monotonic() + MOST_SECONDS
        while sent < SENT_BY_A_JOB and monotonic() < ends:
            taken = await self.deliveries.take(caller, webhook_id, SENT_TOGETHER)
            if not taken:
                break
            outcomes = await asyncio.gather(*(self.sender.send(sending.message) for sending in taken))
            for sending, outcome in zip(taken, outcomes, strict=True):
                with suppress(NotFound):  # deleted meanwhile
                    await self._note(caller, sending, outcome)
            sent += len(taken)
        await self.deliveries.go_on(caller, webhook_id)
        return sent

    async def _note(self, caller: Caller, sending: Sending, outcome: Outcome) -> None:
        reason = await self.deliveries.note(caller, sending, outcome)
        if reason is not None:
            await self.deliveries.disable(caller, sending.webhook_id, reason)
