"""Operations on the webhooks of the caller's organization."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from agentmem.errors import Conflict, QuotaExceeded
from agentmem.features.webhooks import repository
from agentmem.features.webhooks.model import PING, Receiver, new_key
from agentmem.features.webhooks.work import ask_to_send
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.outbound.guard import Destinations
from agentmem.kit.ids import uuid7
from agentmem.kit.paging import decode_id, query_fingerprint
from agentmem.kit.versions import require_version
from agentmem.operations import operation
from agentmem.schemas.memories import Page, page_by_id
from agentmem.schemas.webhooks import Delivery, DisabledReason, IssuedWebhook, NewWebhook, Webhook, WebhookPatch

_PAGES: Final = query_fingerprint("webhooks")
_SWEPT_AT_ONCE: Final = 1000
MOST_WEBHOOKS: Final = 100


@dataclass(frozen=True, kw_only=True)
class WebhookService:
    """Operations on the webhooks of the caller's organization, and on what was sent to them."""

    database: Database
    destinations: Destinations = field(default_factory=Destinations)

    @operation(Permission.WEBHOOK_WRITE, audit="webhook.created")
    async def create(self, tx: Transaction, new: NewWebhook) -> IssuedWebhook:
        """Make a webhook; the key that signs what is sent to it is in the answer and nowhere else.

        Raises :class:`InvalidInput` for an address that nothing may be sent to, :class:`QuotaExceeded` for the 101st.
        """
        self.destinations.check(new.url)
        await repository.hold_webhooks(tx)
        if await repository.count_webhooks(tx) >= MOST_WEBHOOKS:
            raise QuotaExceeded(f"The organization has {MOST_WEBHOOKS} webhooks.", hint="Delete one that is not used.")
        key, webhook_id = new_key(), uuid7()
        receiver = Receiver(url=new.url, description=new.description, keys=(key,))
        webhook = await repository.insert_webhook(tx, webhook_id, receiver, new.types)
        await repository.note_subscribed(tx)
        tx.touch([webhook_id])
        return IssuedWebhook(key=key, webhook=webhook)

    @operation(Permission.WEBHOOK_READ, read_only=True)
    async def page(self, tx: Transaction, cursor: str | None = None, limit: int = 100) -> Page[Webhook]:
        """Read a page of webhooks, the oldest first; raises :class:`InvalidCursor`."""
        found = await repository.fetch_page(tx, decode_id(cursor, _PAGES), limit + 1)
        return page_by_id(found, limit, _PAGES)

    @operation(Permission.WEBHOOK_READ, read_only=True)
    async def get(self, tx: Transaction, webhook_id: UUID) -> Webhook:
        """Read one webhook; raises :class:`NotFound`."""
        return await repository.fetch_webhook(tx, webhook_id)

    @operation(Permission.WEBHOOK_WRITE, audit="webhook.updated")
    async def update(
        self, tx: Transaction, webhook_id: UUID, patch: WebhookPatch, if_version: int | None = None
    ) -> Webhook:
        """Change a webhook; one that is disabled gets nothing, and what waited for it can be asked for again."""
        await repository.hold_webhooks(tx)
        found = await repository.fetch_stored(tx, webhook_id, lock=True)
        require_version(f"Webhook {webhook_id}", found.version, if_version)
        tx.touch([webhook_id])
        receiver, values = found.receiver, dict[str, object]()
        if patch.url is not None:
            receiver = replace(receiver, url=self.destinations.check(patch.url))
        if patch.description is not None:
            receiver = replace(receiver, description=patch.description)
        if patch.types is not None:
            values["types"] = patch.types
        if patch.enabled is not None:
            healthy = {"failures": 0, "failing_since": None, "resting_until": None}
            reason = None if patch.enabled else DisabledReason.ASKED.value
            values |= {"enabled": patch.enabled, "disabled_reason": reason, **healthy}
        changed = await repository.change_webhook(tx, found, receiver, values)
        if not changed.enabled:
            await repository.end_pending(tx, webhook_id)
        await repository.note_subscribed(tx)
        return changed

    @operation(Permission.WEBHOOK_WRITE, audit="webhook.deleted")
    async def delete(self, tx: Transaction, webhook_id: UUID, if_version: int | None = None) -> None:
        """Remove a webhook with everything that was and was not sent to it."""
        await repository.hold_webhooks(tx)
        found = await repository.fetch_stored(tx, webhook_id, lock=True)
        require_version(f"Webhook {webhook_id}", found.version, if_version)
        tx.touch([webhook_id])
        await repository.remove_webhook(tx, webhook_id)
        await repository.note_subscribed(tx)

    @operation(Permission.WEBHOOK_WRITE, audit="webhook.rotated")
    async def rotate(self, tx: Transaction, webhook_id: UUID, overlap_seconds: int) -> IssuedWebhook:
        """Make a new signing key, which is shown this once; for the overlap, both keys sign."""
        found = await repository.fetch_stored(tx, webhook_id, lock=True)
        tx.touch([webhook_id])
        key = new_key()
        receiver = replace(found.receiver, keys=(key, found.receiver.keys[0]))
        until = tx.now + timedelta(seconds=overlap_seconds)
        changed = await repository.change_webhook(tx, found, receiver, {"old_key_until": until})
        return IssuedWebhook(key=key, webhook=changed)

    @operation(Permission.WEBHOOK_WRITE, audit="webhook.tested")
    async def test(self, tx: Transaction, webhook_id: UUID) -> Delivery:
        """Have a ``ping`` sent to a webhook, and give its delivery; raises :class:`Conflict` for a disabled one."""
        failing = await _hold_enabled(tx, webhook_id)
        delivery = await repository.insert_delivery(tx, webhook_id, PING)
        tx.touch([webhook_id, delivery.id])
        await ask_to_send(tx, webhook_id, failing=failing)
        return delivery

    @operation(Permission.WEBHOOK_READ, read_only=True)
    async def deliveries(
        self, tx: Transaction, webhook_id: UUID, cursor: str | None = None, limit: int = 100
    ) -> Page[Delivery]:
        """Read a page of what was sent to a webhook, the newest first; raises :class:`InvalidCursor`."""
        fingerprint = query_fingerprint(f"deliveries {webhook_id}")
        await repository.fetch_stored(tx, webhook_id)
        found = await repository.fetch_deliveries(tx, webhook_id, decode_id(cursor, fingerprint), limit + 1)
        return page_by_id(found, limit, fingerprint)

    @operation(Permission.WEBHOOK_WRITE, audit="webhook.replayed")
    async def replay(self, tx: Transaction, webhook_id: UUID, delivery_id: UUID) -> Delivery:
        """Send a message once more, under the same id; raises :class:`Conflict` for a disabled webhook."""
        failing = await _hold_enabled(tx, webhook_id)
        delivery = await repository.ask_again(tx, webhook_id, delivery_id)
        tx.touch([webhook_id, delivery_id])
        await ask_to_send(tx, webhook_id, failing=failing)
        return delivery

    @operation(Permission.MEMORY_MAINTAIN)
    async def forget(self, tx: Transaction, kept: timedelta) -> int:
        """Remove some of the deliveries that ended longer ago than ``kept``; again until there are none."""
        return await repository.forget_deliveries(tx, kept, _SWEPT_AT_ONCE)


async def _hold_enabled(tx: Transaction, webhook_id: UUID) -> bool:
    """Hold a webhook that is enabled, and tell whether its receiver fails; raises :class:`Conflict` for another."""
    found = await repository.fetch_stored(tx, webhook_id, lock=True)
    if not found.enabled:
        raise Conflict(f"Webhook {webhook_id} is disabled.", hint="Enable it first.")
    return found.health.failures > 0
