"""All SQL about webhooks as those who own them see them; what sends to them has a module beside this one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, delete, exists, func, insert, select, update

from agentmem.errors import NotFound
from agentmem.features.webhooks.model import Health, Receiver, StoredWebhook
from agentmem.features.webhooks.tables import webhook_attempts, webhook_deliveries, webhooks
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.ledger.outbox import hold_stream, subscribe
from agentmem.kit.ids import uuid7
from agentmem.schemas.webhooks import Attempt, Delivery, DeliveryState, DisabledReason, Webhook

DELIVERIES: Final = webhook_deliveries
ATTEMPTS: Final = webhook_attempts


def _seal(tx: Transaction, webhook_id: UUID, version: int, receiver: Receiver) -> bytes:
    """Seal what only the webhook's organization may read."""
    text = json.dumps(asdict(receiver)).encode()
    return tx.keys.keyring.sealer(webhooks.name, "sealed")(webhook_id, version, text)


async def insert_webhook(tx: Transaction, webhook_id: UUID, receiver: Receiver, types: Sequence[str]) -> Webhook:
    """Write a new webhook, enabled."""
    row = {
        "organization_id": tx.organization_id,
        "webhook_id": webhook_id,
        "types": list(types),
        "enabled": True,
        "sealed": _seal(tx, webhook_id, 1, receiver),
        "failures": 0,
        "created_by": tx.caller.principal_id,
        "created_at": tx.now,
        "version": 1,
    }
    await tx.execute(insert(webhooks), row)
    return await fetch_webhook(tx, webhook_id)


async def fetch_stored(tx: Transaction, webhook_id: UUID, *, lock: bool = False) -> StoredWebhook:
    """Read a webhook, or raise :class:`NotFound`; with a lock it stays so until the end."""
    statement = select(webhooks).where(tx.own(webhooks), webhooks.c.webhook_id == webhook_id)
    row = (await tx.execute(statement.with_for_update(key_share=True) if lock else statement)).first()
    if row is None:
        raise NotFound(f"There is no webhook {webhook_id}.")
    return await _stored(tx, row)


async def fetch_webhook(tx: Transaction, webhook_id: UUID) -> Webhook:
    """Read what is shown of a webhook, or raise :class:`NotFound`."""
    return (await fetch_stored(tx, webhook_id)).view(tx.now)


async def fetch_page(tx: Transaction, after: UUID | None, limit: int) -> list[Webhook]:
    """Read up to ``limit`` webhooks, the oldest first."""
    statement = select(webhooks).where(tx.own(webhooks))
    if after is not None:
        statement = statement.where(webhooks.c.webhook_id > after)
    rows = await tx.execute(statement.order_by(webhooks.c.webhook_id).limit(limit))
    return [(await _stored(tx, row)).view(tx.now) for row in rows]


async def count_webhooks(tx: Transaction) -> int:
    """Count the organization's webhooks."""
    return int((await tx.execute(select(func.count()).select_from(webhooks).where(tx.own(webhooks)))).scalar_one())


async def change_webhook(
    tx: Transaction, found: StoredWebhook, receiver: Receiver, values: Mapping[str, object]
) -> Webhook:
    """Change a webhook, which is held, and count its version up."""
    version = found.version + 1
    sealed = _seal(tx, found.webhook_id, version, receiver)
    statement = update(webhooks).where(tx.own(webhooks), webhooks.c.webhook_id == found.webhook_id)
    await tx.execute(statement.values(**values, sealed=sealed, version=version))
    return await fetch_webhook(tx, found.webhook_id)


async def remove_webhook(tx: Transaction, webhook_id: UUID) -> None:
    """Remove a webhook with its deliveries."""
    await tx.execute(delete(webhooks).where(tx.own(webhooks), webhooks.c.webhook_id == webhook_id))


async def hold_webhooks(tx: Transaction) -> None:
    """Let one transaction at a time add, enable, disable or remove webhooks."""
    await hold_stream(tx)


async def note_subscribed(tx: Transaction) -> None:
    """Have events written while any webhook is enabled; after each change to one, by whoever holds them."""
    found = await tx.execute(select(exists().where(tx.own(webhooks), webhooks.c.enabled)))
    await subscribe(tx, subscribed=bool(found.scalar_one()))


async def insert_delivery(tx: Transaction, webhook_id: UUID, kind: str) -> Delivery:
    """Write a delivery of a message that is no event, due now."""
    delivery_id = uuid7()
    row = {
        "organization_id": tx.organization_id,
        "delivery_id": delivery_id,
        "webhook_id": webhook_id,
        "message_id": uuid7(),
        "type": kind,
        "state": DeliveryState.PENDING.value,
        "tries": 0,
        "created_at": tx.now,
        "due_at": tx.now,
    }
    await tx.execute(insert(DELIVERIES), row)
    return await fetch_delivery(tx, webhook_id, delivery_id)


async def fetch_delivery(tx: Transaction, webhook_id: UUID, delivery_id: UUID) -> Delivery:
    """Read a delivery of a webhook with its attempts, or raise :class:`NotFound`."""
    statement = select(DELIVERIES).where(
        tx.own(DELIVERIES), DELIVERIES.c.webhook_id == webhook_id, DELIVERIES.c.delivery_id == delivery_id
    )
    found = await _with_attempts(tx, (await tx.execute(statement)).all())
    if not found:
        raise NotFound(f"Webhook {webhook_id} has no delivery {delivery_id}.")
    return found[0]


async def fetch_deliveries(tx: Transaction, webhook_id: UUID, before: UUID | None, limit: int) -> list[Delivery]:
    """Read up to ``limit`` deliveries of a webhook with their attempts, the newest first."""
    statement = select(DELIVERIES).where(tx.own(DELIVERIES), DELIVERIES.c.webhook_id == webhook_id)
    if before is not None:
        statement = statement.where(DELIVERIES.c.delivery_id < before)
    rows = await tx.execute(statement.order_by(DELIVERIES.c.delivery_id.desc()).limit(limit))
    return await _with_attempts(tx, rows.all())


async def ask_again(tx: Transaction, webhook_id: UUID, delivery_id: UUID) -> Delivery:
    """Have a delivery sent again, with all its tries before it; raises :class:`NotFound`."""
    again = {"state": DeliveryState.PENDING.value, "tries": 0, "due_at": tx.now, "ended_at": None}
    of_it = (tx.own(DELIVERIES), DELIVERIES.c.webhook_id == webhook_id, DELIVERIES.c.delivery_id == delivery_id)
    await tx.execute(update(DELIVERIES).where(*of_it).values(**again))
    return await fetch_delivery(tx, webhook_id, delivery_id)


async def end_pending(tx: Transaction, webhook_id: UUID) -> None:
    """Send nothing more of what waits for a webhook; what was not delivered can be asked for again."""
    waits = (tx.own(DELIVERIES), DELIVERIES.c.webhook_id == webhook_id, DELIVERIES.c.due_at.is_not(None))
    ended = {"state": DeliveryState.FAILED.value, "due_at": None, "ended_at": tx.now}
    await tx.execute(update(DELIVERIES).where(*waits).values(**ended))


async def forget_deliveries(tx: Transaction, kept: timedelta, limit: int) -> int:
    """Remove up to ``limit`` deliveries that ended longer ago than ``kept``, and say how many."""
    old = select(DELIVERIES.c.delivery_id).where(tx.own(DELIVERIES), DELIVERIES.c.ended_at < tx.now - kept).limit(limit)
    return (await tx.execute(delete(DELIVERIES).where(tx.own(DELIVERIES), DELIVERIES.c.delivery_id.in_(old)))).rowcount


async def _stored(tx: Transaction, row: Row[Any]) -> StoredWebhook:
    """Map a row, and open what is sealed of it."""
    await tx.ring.unlock([row.sealed])
    text = tx.ring.opener(webhooks.name, "sealed")(row.webhook_id, row.version, row.sealed)
    values = json.loads(text)
    receiver = Receiver(url=values["url"], description=values["description"], keys=tuple(values["keys"]))
    return StoredWebhook(
        webhook_id=row.webhook_id,
        receiver=receiver,
        types=tuple(row.types),
        enabled=row.enabled,
        disabled_reason=None if row.disabled_reason is None else DisabledReason(row.disabled_reason),
        health=Health(failures=row.failures, failing_since=row.failing_since, resting_until=row.resting_until),
        old_key_until=row.old_key_until,
        created_by=row.created_by,
        created_at=row.created_at,
        version=row.version,
    )


async def _with_attempts(tx: Transaction, rows: Iterable[Row[Any]]) -> list[Delivery]:
    found = list(rows)
    ids = [row.delivery_id for row in found]
    statement = select(ATTEMPTS).where(tx.own(ATTEMPTS), ATTEMPTS.c.delivery_id.in_(ids)).order_by(ATTEMPTS.c.attempt)
    made: dict[UUID, list[Attempt]] = {delivery_id: [] for delivery_id in ids}
    for row in await tx.execute(statement):
        attempt = Attempt(at=row.at, status=row.status, error=row.error, duration_ms=row.duration_ms)
        made[row.delivery_id].append(attempt)
    return [
        Delivery(
            id=row.delivery_id,
            webhook_id=row.webhook_id,
            message_id=row.message_id,
            type=row.type,
            sequence=row.sequence,
            state=DeliveryState(row.state),
            attempts=made[row.delivery_id],
            created_at=row.created_at,
            next_attempt_at=row.due_at,
            ended_at=row.ended_at,
        )
        for row in found
    ]
