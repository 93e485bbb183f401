"""The webhooks of an organization on a clock that is moved by hand, and what sends to them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from agentmem import AsyncMemory
from agentmem.features.webhooks.delivery import WebhookDeliveries
from agentmem.features.webhooks.service import WebhookService
from agentmem.foundation.authorization.caller import Caller, service_caller
from agentmem.foundation.database.database import Database
from agentmem.foundation.outbound.guard import Destinations
from agentmem.foundation.outbound.guarded import GuardedSender
from agentmem.kit.clock import utc_now
from agentmem.kit.networks import parse_network
from agentmem.pipelines.events.delivering import Delivering
from agentmem.pipelines.events.relay import Relay
from agentmem.schemas.webhooks import Delivery, IssuedWebhook, NewWebhook
from tests.support.receiver import LOOPBACK, Receiver
from tests.support.stores import Owner

HERE = Destinations(http=True, networks=tuple(map(parse_network, LOOPBACK)))


class Hooks:
    """The webhooks of an organization on a clock that is moved by hand, and what sends to them."""

    def __init__(self, memory: AsyncMemory, sender: GuardedSender) -> None:
        self.moved = timedelta()
        self.memory = memory
        self.caller: Caller = memory.app.caller
        self._sender = sender

    @property
    def service(self) -> WebhookService:
        return WebhookService(database=self._database, destinations=HERE)

    @property
    def delivering(self) -> Delivering:
        return Delivering(deliveries=WebhookDeliveries(database=self._database), sender=self._sender)

    @property
    def relay(self) -> Relay:
        return Relay(deliveries=WebhookDeliveries(database=self._database), state=self.memory.app.state)

    @property
    def _database(self) -> Database:
        return replace(self.memory.app.database, ahead=self.moved)

    def now(self) -> datetime:
        return utc_now() + self.moved

    async def create(self, receiver: Receiver, *types: str) -> IssuedWebhook:
        return await self.service.create(self.caller, NewWebhook(url=receiver.url, types=list(types or ["memory.*"])))

    async def deliver(self, webhook_id: UUID) -> int:
        """Relay what waits, and send what is due, as the job does."""
        await self.relay.relay()
        return await self.delivering.deliver(service_caller(self.caller.organization_id), webhook_id)

    async def log(self, webhook_id: UUID) -> list[Delivery]:
        return (await self.service.deliveries(self.caller, webhook_id)).items

    def take_jobs(self, owner: Owner) -> None:
        """Take the jobs that wait, as a worker does before it begins them."""
        owner.execute("DELETE FROM agentmem.jobs WHERE organization_id = %s", [self.caller.organization_id])

    async def due_in(self, owner: Owner, webhook_id: UUID) -> float:
        """Say after how many seconds the job that sends to a webhook begins."""
        found = owner.execute(
            "SELECT extract(epoch FROM min(due_at) - now()) FROM agentmem.jobs "
            "WHERE arguments ->> 'webhook_id' = %s AND state = 'queued'",
            [str(webhook_id)],
        ).fetchone()
        assert found is not None
        return float(str(found[0]))
