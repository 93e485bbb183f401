"""All SQL of deliveries on their way: made of events, taken to be sent, noted when they were."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import func, insert, select, update

from agentmem.errors import NotFound
from agentmem.features.webhooks.model import Health, Sending, Standing, StoredWebhook, event_body, ping_body, signed
from agentmem.features.webhooks.tables import webhook_attempts, webhook_deliveries, webhooks
from agentmem.foundation.database.system import SystemTransaction
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.ledger.outbox import events_of
from agentmem.foundation.outbound.port import Outcome
from agentmem.kit.ids import OrganizationId, uuid7
from agentmem.schemas.events import Event, fits
from agentmem.schemas.webhooks import DeliveryState

CLAIMED: Final = timedelta(seconds=20)
"""How long a delivery is left to whoever took it, longer than sending takes: then that one has died."""
_deliveries = webhook_deliveries


async def insert_deliveries(
    tx: SystemTransaction, organization_id: OrganizationId, events: Sequence[Event]
) -> list[tuple[UUID, bool]]:
    """Write a delivery of each event for each webhook that asks for its type.

    Gives the webhooks that have new ones, in order, each with whether its receiver fails.
    """
    columns = (webhooks.c.webhook_id, webhooks.c.types, webhooks.c.failing_since)
    enabled = select(*columns).where(tx.own(webhooks), webhooks.c.enabled).order_by(webhooks.c.webhook_id)
    made, asked = list[dict[str, object]](), list[tuple[UUID, bool]]()
    for webhook in await tx.execute(enabled):
        fitting = [event for event in events if fits(webhook.types, event.type)]
        made += [_delivery(tx, organization_id, webhook.webhook_id, event) for event in fitting]
        if fitting:
            asked.append((webhook.webhook_id, webhook.failing_since is not None))
    if made:
        await tx.execute(insert(_deliveries), made)
    return asked


def _delivery(
    tx: SystemTransaction, organization_id: OrganizationId, webhook_id: UUID, event: Event
) -> dict[str, object]:
    return {
        "organization_id": organization_id,
        "delivery_id": uuid7(),
        "webhook_id": webhook_id,
        "message_id": event.id,
        "type": event.type,
        "sequence": event.sequence,
        "state": DeliveryState.PENDING.value,
        "tries": 0,
        "created_at": tx.now,
        "due_at": tx.now,
    }


async def take(tx: Transaction, webhook: StoredWebhook, limit: int) -> list[Sending]:
    """Take up to ``limit`` of the deliveries that are due, so that nobody else sends them for 20 seconds."""
    due = (
        select(_deliveries.c.delivery_id)
        .where(
            tx.own(_deliveries),
            _deliveries.c.webhook_id == webhook.webhook_id,
            _deliveries.c.due_at <= tx.now,
        )
        .order_by(_deliveries.c.due_at, _deliveries.c.delivery_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taken = (
        update(_deliveries)
        .where(tx.own(_deliveries), _deliveries.c.delivery_id.in_(due.scalar_subquery()))
        .values(due_at=tx.now + CLAIMED)
        .returning(_deliveries)
    )
    rows = sorted((await tx.execute(taken)).all(), key=lambda row: row.delivery_id)
    events = await events_of(tx, {row.message_id: row.sequence for row in rows if row.sequence is not None})
    sendings, keys = [], webhook.keys_at(tx.now)
    for row in rows:
        event = events.get(row.message_id)
        body = ping_body(webhook.webhook_id, row.created_at) if event is None else event_body(event)
        message = signed(webhook.receiver.url, keys, row.message_id, body, tx.now)
        sendings.append(Sending(delivery_id=row.delivery_id, webhook_id=webhook.webhook_id, message=message))
    return sendings


async def hold_delivery(tx: Transaction, delivery_id: UUID) -> int:
    """Hold a delivery, and say how often it was tried; raises :class:`NotFound`."""
    statement = select(_deliveries.c.tries).where(tx.own(_deliveries), _deliveries.c.delivery_id == delivery_id)
    tries = (await tx.execute(statement.with_for_update())).scalar_one_or_none()
    if tries is None:
        raise NotFound(f"There is no delivery {delivery_id}.", hint="Its webhook was deleted.")
    return int(tries)


async def write_attempt(tx: Transaction, delivery_id: UUID, outcome: Outcome, tries: int, standing: Standing) -> None:
    """Note an attempt of a delivery, which is held, and where it stands now."""
    log = webhook_attempts
    number = select(func.coalesce(func.max(log.c.attempt), 0) + 1).where(tx.own(log), log.c.delivery_id == delivery_id)
    attempt = {
        "organization_id": tx.organization_id,
        "delivery_id": delivery_id,
        "attempt": (await tx.execute(number)).scalar_one(),
        "at": tx.now,
        "status": outcome.status,
        "error": outcome.error,
        "duration_ms": outcome.duration_ms,
    }
    await tx.execute(insert(log), attempt)
    await tx.execute(
        update(_deliveries)
        .where(tx.own(_deliveries), _deliveries.c.delivery_id == delivery_id)
        .values(state=standing.state.value, tries=tries, due_at=standing.due_at, ended_at=standing.ended_at)
    )


async def set_health(tx: Transaction, webhook_id: UUID, health: Health) -> None:
    """Write how a receiver has answered."""
    statement = update(webhooks).where(tx.own(webhooks), webhooks.c.webhook_id == webhook_id)
    await tx.execute(
        statement.values(
            failures=health.failures, failing_since=health.failing_since, resting_until=health.resting_until
        )
    )


async def next_due(tx: Transaction, webhook_id: UUID) -> datetime | None:
    """Say when the next delivery of a webhook is due; none if nothing waits."""
    waits = (_deliveries.c.webhook_id == webhook_id, _deliveries.c.due_at.is_not(None))
    first = select(func.min(_deliveries.c.due_at)).where(tx.own(_deliveries), *waits)
    moment: datetime | None = (await tx.execute(first)).scalar_one()
    return moment
