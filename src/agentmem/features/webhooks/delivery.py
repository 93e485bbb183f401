"""What the service does with deliveries: takes those that are due, notes how they went, makes new ones of events."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from agentmem.errors import NotFound
from agentmem.features.webhooks import repository, sending
from agentmem.features.webhooks.model import Sending, StoredWebhook, standing_after
from agentmem.features.webhooks.work import ask_to_send
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.system import SystemPurpose, SystemTransaction
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.ledger.outbox import take_up, waiting_organizations
from agentmem.foundation.outbound.port import Outcome
from agentmem.kit.ids import OrganizationId
from agentmem.operations import operation, system_operation
from agentmem.schemas.webhooks import DisabledReason

VISITED_AT_ONCE: Final = 100
RELAYED_AT_ONCE: Final = 500


@dataclass(frozen=True, kw_only=True)
class WebhookDeliveries:
    """Deliveries on their way. Nothing here sends: that is done between these operations."""

    database: Database

    @system_operation(SystemPurpose.RELAY, read_only=True)
    async def waiting(self, tx: SystemTransaction) -> list[OrganizationId]:
        """Name organizations in which something waits to become events."""
        return await waiting_organizations(tx, VISITED_AT_ONCE)

    @system_operation(SystemPurpose.RELAY)
    async def relay(self, tx: SystemTransaction, organization_id: OrganizationId) -> int:
        """Make events of what waits in an organization, with a delivery for each webhook that asks for them.

        Says how many; 0 too while another process is at it. Of several at once each event is made by one.
        """
        await tx.bind(organization_id)
        events = await take_up(tx, organization_id, RELAYED_AT_ONCE)
        if events:
            for webhook_id, failing in await sending.insert_deliveries(tx, organization_id, events):
                await ask_to_send(tx, webhook_id, failing=failing)
        return len(events)

    @operation(Permission.MEMORY_MAINTAIN)
    async def take(self, tx: Transaction, webhook_id: UUID, limit: int) -> list[Sending]:
        """Take up to ``limit`` messages that are due; a single one to try a receiver that has rested, none before."""
        webhook = await _held(tx, webhook_id)
        if webhook is None or not webhook.enabled:
            return []
        resting_until = webhook.health.resting_until
        if resting_until is not None and tx.now < resting_until:
            return []
        return await sending.take(tx, webhook, limit if resting_until is None else 1)

    @operation(Permission.MEMORY_MAINTAIN)
    async def note(self, tx: Transaction, sent: Sending, outcome: Outcome) -> DisabledReason | None:
        """Note how sending went, and give the reason for which the webhook ends with it, if it does.

        Raises :class:`NotFound` for a webhook that was deleted meanwhile.
        """
        webhook = await repository.fetch_stored(tx, sent.webhook_id, lock=True)
        tries = await sending.hold_delivery(tx, sent.delivery_id) + 1
        standing = standing_after(outcome, tries, random.random(), tx.now)  # noqa: S311  # spreads load
        await sending.write_attempt(tx, sent.delivery_id, outcome, tries, standing)
        if not webhook.enabled:
            await repository.end_pending(tx, sent.webhook_id)
            return None
        health = webhook.health.after(outcome, tx.now)
        await sending.set_health(tx, sent.webhook_id, health)
        return health.disabled_by(outcome, tx.now)

    @operation(Permission.WEBHOOK_WRITE, audit="webhook.disabled")
    async def disable(self, tx: Transaction, webhook_id: UUID, reason: DisabledReason) -> None:
        """Send nothing more to a receiver that does not want it, or has failed for days."""
        await repository.hold_webhooks(tx)
        found = await repository.fetch_stored(tx, webhook_id, lock=True)
        tx.touch([webhook_id])
        values: dict[str, object] = {"enabled": False, "disabled_reason": reason.value}
        await repository.change_webhook(tx, found, found.receiver, values)
        await repository.end_pending(tx, webhook_id)
        await repository.note_subscribed(tx)

    @operation(Permission.MEMORY_MAINTAIN)
    async def go_on(self, tx: Transaction, webhook_id: UUID) -> None:
        """See to it that what still waits for a webhook is sent when it is due."""
        webhook = await _held(tx, webhook_id)
        due_at = await sending.next_due(tx, webhook_id)
        if webhook is None or not webhook.enabled or due_at is None:
            return
        moment = max(due_at, webhook.health.resting_until or due_at)
        delay = max(0.0, (moment - tx.now).total_seconds())
        await ask_to_send(tx, webhook_id, failing=webhook.health.failures > 0, delay=delay)


async def _held(tx: Transaction, webhook_id: UUID) -> StoredWebhook | None:
    """Hold a webhook; ``None`` if it was deleted since its job was asked for."""
    try:
        return await repository.fetch_stored(tx, webhook_id, lock=True)
    except NotFound:
        return None
