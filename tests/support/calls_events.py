"""An example of each operation on events and webhooks, and of the functions below them, with somebody else's ids."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from agentmem.features.webhooks import repository, sending
from agentmem.features.webhooks.model import Health, Receiver, Sending, StoredWebhook, new_key, standing_after
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.outbound.port import Message, Outcome
from agentmem.kit.clock import utc_now
from agentmem.kit.ids import uuid7
from agentmem.schemas.webhooks import DisabledReason, NewWebhook, WebhookPatch
from tests.support.foreign import Call, Foreign

_NEW = NewWebhook(url="https://hooks.example/new")


def _sent(foreign: Foreign) -> Sending:
    message = Message(url="https://hooks.example/", headers={}, body=b"")
    return Sending(delivery_id=foreign.delivery_id, webhook_id=foreign.webhook_id, message=message)


def _stored(foreign: Foreign) -> StoredWebhook:
    """A webhook of the victim's as somebody would make it up who knows its id."""
    return StoredWebhook(
        webhook_id=foreign.webhook_id,
        receiver=_RECEIVER,
        types=("*",),
        enabled=True,
        disabled_reason=None,
        health=Health(),
        old_key_until=None,
        created_by="local",
        created_at=utc_now(),
        version=1,
    )


async def _ping(tx: Transaction, _foreign: Foreign) -> object:
    # Of a webhook of the attacker's own: the keys of the tables take no other.
    webhook_id = uuid7()
    await repository.insert_webhook(tx, webhook_id, _RECEIVER, ["*"])
    delivery = await repository.insert_delivery(tx, webhook_id, "ping")
    await sending.write_attempt(tx, delivery.id, _FAILED, 1, standing_after(_FAILED, 1, 0.0, tx.now))
    return delivery.type


_RECEIVER = Receiver(url="https://hooks.example/", description="", keys=(new_key(),))
_FAILED = Outcome(status=500, duration_ms=1)

DIRECT_CALLS: dict[str, Callable[[Transaction, Foreign], Awaitable[object]]] = {
    "webhooks.repository.ask_again": lambda tx, f: repository.ask_again(tx, f.webhook_id, f.delivery_id),
    "webhooks.repository.change_webhook": lambda tx, f: repository.change_webhook(tx, _stored(f), _RECEIVER, {}),
    "webhooks.repository.end_pending": lambda tx, f: repository.end_pending(tx, f.webhook_id),
    "webhooks.repository.fetch_deliveries": lambda tx, f: repository.fetch_deliveries(tx, f.webhook_id, None, 100),
    "webhooks.repository.fetch_delivery": lambda tx, f: repository.fetch_delivery(tx, f.webhook_id, f.delivery_id),
    "webhooks.repository.insert_delivery": _ping,
    "webhooks.repository.remove_webhook": lambda tx, f: repository.remove_webhook(tx, f.webhook_id),
    "webhooks.sending.hold_delivery": lambda tx, f: sending.hold_delivery(tx, f.delivery_id),
    "webhooks.sending.next_due": lambda tx, f: sending.next_due(tx, f.webhook_id),
    "webhooks.sending.set_health": lambda tx, f: sending.set_health(tx, f.webhook_id, Health().after(_FAILED, tx.now)),
    "webhooks.sending.take": lambda tx, f: sending.take(tx, _stored(f), 100),
}
"""Functions that operations call only once they have found the webhook."""

CALLS: dict[str, Call] = {
    "EventService.follow": lambda s, c, f: s.follow(c, None),
    "EventService.read": lambda s, c, f: s.read(c, 0, 1000),
    "EventService.forget": lambda s, c, f: s.forget(c, timedelta()),
    "WebhookService.create": lambda s, c, f: s.create(c, _NEW),
    "WebhookService.page": lambda s, c, f: s.page(c),
    "WebhookService.get": lambda s, c, f: s.get(c, f.webhook_id),
    "WebhookService.update": lambda s, c, f: s.update(c, f.webhook_id, WebhookPatch(description="changed")),
    "WebhookService.delete": lambda s, c, f: s.delete(c, f.webhook_id),
    "WebhookService.rotate": lambda s, c, f: s.rotate(c, f.webhook_id, 0),
    "WebhookService.test": lambda s, c, f: s.test(c, f.webhook_id),
    "WebhookService.deliveries": lambda s, c, f: s.deliveries(c, f.webhook_id),
    "WebhookService.replay": lambda s, c, f: s.replay(c, f.webhook_id, f.delivery_id),
    "WebhookService.forget": lambda s, c, f: s.forget(c, timedelta(days=-1)),
    "WebhookDeliveries.take": lambda s, c, f: s.take(c, f.webhook_id, 100),
    "WebhookDeliveries.note": lambda s, c, f: s.note(c, _sent(f), Outcome(status=204, duration_ms=1)),
    "WebhookDeliveries.disable": lambda s, c, f: s.disable(c, f.webhook_id, DisabledReason.GONE),
    "WebhookDeliveries.go_on": lambda s, c, f: s.go_on(c, f.webhook_id),
}

NOT_FOUND = frozenset(
    {
        "WebhookService.get",
        "WebhookService.update",
        "WebhookService.delete",
        "WebhookService.rotate",
        "WebhookService.test",
        "WebhookService.deliveries",
        "WebhookService.replay",
        "WebhookDeliveries.note",
        "WebhookDeliveries.disable",
    }
)
"""Operations that answer the id of somebody else as they do one that nobody has."""
