"""The calls on webhooks, as values."""

from __future__ import annotations

from collections.abc import Sequence

from agentmem.client.administration import Identifier
from agentmem.client.answers import nothing, one
from agentmem.client.calls import Call, Values, change, get_from, post_to
from agentmem.client.encoding import body_of, path_of, query_of
from agentmem.schemas.base import parse
from agentmem.schemas.memories import Page
from agentmem.schemas.webhooks import Delivery, IssuedWebhook, KeyRotation, NewWebhook, Webhook, WebhookPatch


def list_webhooks(limit: int, cursor: str | None) -> Call[Page[Webhook]]:
    """Read a page of webhooks."""
    return get_from(path_of("webhooks"), one(Page[Webhook]), query_of({"limit": limit, "cursor": cursor}))


def get_webhook(webhook_id: Identifier) -> Call[Webhook]:
    """Read one webhook."""
    return get_from(path_of("webhooks", webhook_id), one(Webhook))


def create_webhook(url: str, types: Sequence[str], description: str) -> Call[IssuedWebhook]:
    """Make a webhook."""
    body = body_of(parse(NewWebhook, {"url": url, "types": types, "description": description}))
    return post_to(path_of("webhooks"), one(IssuedWebhook), body)


def update_webhook(webhook_id: Identifier, if_version: int | None, changes: Values) -> Call[Webhook]:
    """Change a webhook."""
    body = body_of(parse(WebhookPatch, changes))
    return change("PATCH", path_of("webhooks", webhook_id), one(Webhook), body, if_version)


def delete_webhook(webhook_id: Identifier, if_version: int | None) -> Call[None]:
    """Delete a webhook."""
    return change("DELETE", path_of("webhooks", webhook_id), nothing, None, if_version)


def rotate_webhook_key(webhook_id: Identifier, overlap_seconds: int) -> Call[IssuedWebhook]:
    """Make a new signing key."""
    body = body_of(parse(KeyRotation, {"overlap_seconds": overlap_seconds}))
    return post_to(path_of("webhooks", webhook_id, "rotate"), one(IssuedWebhook), body)


def test_webhook(webhook_id: Identifier) -> Call[Delivery]:
    """Have a ping sent."""
    return post_to(path_of("webhooks", webhook_id, "test"), one(Delivery), None)


def list_deliveries(webhook_id: Identifier, limit: int, cursor: str | None) -> Call[Page[Delivery]]:
    """Read a page of what was sent."""
    query = query_of({"limit": limit, "cursor": cursor})
    return get_from(path_of("webhooks", webhook_id, "deliveries"), one(Page[Delivery]), query)


def replay_delivery(webhook_id: Identifier, delivery_id: Identifier) -> Call[Delivery]:
    """Send a message once more."""
    path = path_of("webhooks", webhook_id, "deliveries", delivery_id, "replay")
    return post_to(path, one(Delivery), None)
