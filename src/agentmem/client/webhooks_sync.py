"""The part of the client that tells where events are sent to, for programs without asyncio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from agentmem.client import webhooks as calls
from agentmem.client.administration import Identifier
from agentmem.client.connection import Connection
from agentmem.client.options import WebhookChanges
from agentmem.schemas.memories import Page
from agentmem.schemas.webhooks import Delivery, IssuedWebhook, Webhook


class Webhooks:
    """Where the organization's events are sent to; for owners and admins."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, *, limit: int = 100, cursor: str | None = None) -> Page[Webhook]:
        """See :meth:`AsyncWebhooks.list`."""
        return self._connection.send(calls.list_webhooks(limit, cursor))

    def get(self, webhook_id: Identifier) -> Webhook:
        """See :meth:`AsyncWebhooks.get`."""
        return self._connection.send(calls.get_webhook(webhook_id))

    def create(self, url: str, *, types: Sequence[str] = ("*",), description: str = "") -> IssuedWebhook:
        """See :meth:`AsyncWebhooks.create`."""
        return self._connection.send(calls.create_webhook(url, types, description))

    def update(
        self, webhook_id: Identifier, *, if_version: int | None = None, **changes: Unpack[WebhookChanges]
    ) -> Webhook:
        """See :meth:`AsyncWebhooks.update`."""
        return self._connection.send(calls.update_webhook(webhook_id, if_version, changes))

    def delete(self, webhook_id: Identifier, *, if_version: int | None = None) -> None:
        """See :meth:`AsyncWebhooks.delete`."""
        self._connection.send(calls.delete_webhook(webhook_id, if_version))

    def rotate(self, webhook_id: Identifier, *, overlap_seconds: int = 86_400) -> IssuedWebhook:
        """See :meth:`AsyncWebhooks.rotate`."""
        return self._connection.send(calls.rotate_webhook_key(webhook_id, overlap_seconds))

    def test(self, webhook_id: Identifier) -> Delivery:
        """See :meth:`AsyncWebhooks.test`."""
        return self._connection.send(calls.test_webhook(webhook_id))

    def deliveries(self, webhook_id: Identifier, *, limit: int = 100, cursor: str | None = None) -> Page[Delivery]:
        """See :meth:`AsyncWebhooks.deliveries`."""
        return self._connection.send(calls.list_deliveries(webhook_id, limit, cursor))

    def replay(self, webhook_id: Identifier, delivery_id: Identifier) -> Delivery:
        """See :meth:`AsyncWebhooks.replay`."""
        return self._connection.send(calls.replay_delivery(webhook_id, delivery_id))
