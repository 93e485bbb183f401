"""The part of the client that tells where events are sent to, for asyncio programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from agentmem.client import webhooks as calls
from agentmem.client.administration import Identifier
from agentmem.client.connection import AsyncConnection
from agentmem.client.options import WebhookChanges
from agentmem.schemas.memories import Page
from agentmem.schemas.webhooks import Delivery, IssuedWebhook, Webhook


class AsyncWebhooks:
    """Where the organization's events are sent to; for owners and admins."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list(self, *, limit: int = 100, cursor: str | None = None) -> Page[Webhook]:
        """Read a page of webhooks, without their signing keys."""
        return await self._connection.send(calls.list_webhooks(limit, cursor))

    async def get(self, webhook_id: Identifier) -> Webhook:
        """Read one webhook, without its signing key."""
        return await self._connection.send(calls.get_webhook(webhook_id))

    async def create(self, url: str, *, types: Sequence[str] = ("*",), description: str = "") -> IssuedWebhook:
        """Have events sent to an address; the key that signs them is in ``key``, this once."""
        return await self._connection.send(calls.create_webhook(url, types, description))

    async def update(
        self, webhook_id: Identifier, *, if_version: int | None = None, **changes: Unpack[WebhookChanges]
    ) -> Webhook:
        """Change a webhook's address, types or description, disable it, or enable it again."""
        return await self._connection.send(calls.update_webhook(webhook_id, if_version, changes))

    async def delete(self, webhook_id: Identifier, *, if_version: int | None = None) -> None:
        """Delete a webhook, and the log of what was sent to it."""
        await self._connection.send(calls.delete_webhook(webhook_id, if_version))

    async def rotate(self, webhook_id: Identifier, *, overlap_seconds: int = 86_400) -> IssuedWebhook:
        """Make a new signing key; the old one signs beside it for the overlap, of up to 7 days."""
        return await self._connection.send(calls.rotate_webhook_key(webhook_id, overlap_seconds))

    async def test(self, webhook_id: Identifier) -> Delivery:
        """Have a ``ping`` sent to a webhook; its delivery shows what became of it."""
        return await self._connection.send(calls.test_webhook(webhook_id))

    async def deliveries(
        self, webhook_id: Identifier, *, limit: int = 100, cursor: str | None = None
    ) -> Page[Delivery]:
        """Read a page of what was sent to a webhook, the newest first."""
        return await self._connection.send(calls.list_deliveries(webhook_id, limit, cursor))

    async def replay(self, webhook_id: Identifier, delivery_id: Identifier) -> Delivery:
        """Send a message once more, under the same id."""
        return await self._connection.send(calls.replay_delivery(webhook_id, delivery_id))
