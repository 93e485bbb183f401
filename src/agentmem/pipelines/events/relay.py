"""The relay: what was done becomes events within half a second, and whoever follows them is woken."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog

from agentmem.errors import AgentMemError
from agentmem.features.webhooks.delivery import WebhookDeliveries
from agentmem.foundation.state.port import State
from agentmem.kit.ids import OrganizationId

RELAY_SECONDS: Final = 0.5
log = structlog.get_logger(__name__)


def channel_of(organization_id: OrganizationId) -> str:
    """Name the channel on which an organization's followers are woken."""
    return f"events:{organization_id}"


@dataclass(frozen=True, kw_only=True)
class Relay:
    """Takes up what waits in the outbox; every server and worker runs one, and each event is made by one of them."""

    deliveries: WebhookDeliveries
    state: State

    async def run(self) -> None:
        """Relay again and again until cancelled; what fails is done in a later round."""
        while True:
            await asyncio.sleep(RELAY_SECONDS)
            try:
                await self.relay()
            except AgentMemError as error:
                log.warning("relay_failed", reason=error.code)
            except Exception as fault:  # noqa: BLE001  # a duty that ends unseen is never done again
                log.error("relay_failed", error=type(fault).__name__)  # noqa: TRY400  # no content in logs

    async def relay(self) -> int:
        """Make events of what waits now, and say how many."""
        relayed = 0
        while made := [await self._relay(found) for found in await self.deliveries.waiting()]:
            relayed += sum(made)
            if not any(made):  # another process is at all of them
                break
        return relayed

    async def _relay(self, organization_id: OrganizationId) -> int:
        made = await self.deliveries.relay(organization_id)
        if made:
            await self.state.publish(channel_of(organization_id), "relayed")
        return made
