"""Everything that concerns events, put together once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from agentmem.features.events.service import EventService
from agentmem.features.webhooks.delivery import WebhookDeliveries
from agentmem.features.webhooks.service import WebhookService
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.database.database import Database
from agentmem.foundation.jobs.model import Work
from agentmem.foundation.outbound.open import destinations_of
from agentmem.foundation.outbound.port import Sender
from agentmem.foundation.state.port import State
from agentmem.pipelines.events.delivering import Delivering
from agentmem.pipelines.events.following import Following
from agentmem.pipelines.events.relay import Relay
from agentmem.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Events:
    """What was done, told to those who asked: by a stream that they follow, or by messages to their webhooks."""

    service: EventService
    webhooks: WebhookService
    following: Following
    relay: Relay
    delivering: Delivering | None
    """What sends; ``None`` in a process without what it takes: the messages wait for one that has it."""
    kept: timedelta
    """How long an event can be read in a stream."""
    logged: timedelta
    """How long the log keeps what was sent."""

    @classmethod
    def over(cls, database: Database, state: State, sender: Sender | None, settings: Settings) -> Events:
        """Put the parts together."""
        deliveries, service = WebhookDeliveries(database=database), EventService(database=database)
        return cls(
            service=service,
            webhooks=WebhookService(database=database, destinations=destinations_of(settings)),
            following=Following(events=service, state=state),
            relay=Relay(deliveries=deliveries, state=state),
            delivering=None if sender is None else Delivering(deliveries=deliveries, sender=sender),
            kept=timedelta(hours=settings.event_hours),
            logged=timedelta(days=settings.delivery_days),
        )

    def works(self) -> Sequence[Work]:
        """Name the kinds of jobs that are done here."""
        return [] if self.delivering is None else self.delivering.works()

    async def sweep(self, caller: Caller) -> int:
        """Remove the organization's events and deliveries that have been kept long enough, and say how many."""
        removed = 0
        while some := await self.service.forget(caller, self.kept) + await self.webhooks.forget(caller, self.logged):
            removed += some
        return removed
