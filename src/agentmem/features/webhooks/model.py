"""What is sent to a webhook, how it is signed, and what follows from an answer; pure.

Messages are those of Standard Webhooks (https://www.standardwebhooks.com), so that a receiver can check them with a
library of its own language.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from pydantic import JsonValue

from agentmem.foundation.outbound.port import Message, Outcome
from agentmem.schemas.events import Event
from agentmem.schemas.webhooks import DeliveryState, DisabledReason, Webhook

KEY_PREFIX: Final = "whsec_"
KEY_BYTES: Final = 32
PING: Final = "ping"
"""The type of the message that tests a webhook; it is no event."""

WAITS: Final = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
)
"""How long after each failure a message is sent again: ten times in all, over three days."""

ENOUGH: Final = 5
"""Failures one after the other after which a receiver is left alone for a while."""
REST: Final = timedelta(seconds=60)
"""For how long; then a single message tries it."""
GIVEN_UP: Final = timedelta(days=5)
"""How long a receiver may fail without one success before its webhook is disabled."""
_GONE: Final = 410


@dataclass(frozen=True, kw_only=True, slots=True)
class Receiver:
    """What is sealed of a webhook; the newest key comes first, and before its time is over the one before it."""

    url: str = field(repr=False)
    description: str = field(repr=False)
    keys: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """How a receiver has answered: failures since its last success, the first of them, and until when it rests."""

    failures: int = 0
    failing_since: datetime | None = None
    resting_until: datetime | None = None

    def after(self, outcome: Outcome, now: datetime) -> Health:
        """Give the health after one more answer."""
        if outcome.taken:
            return Health()
        failures = self.failures + 1
        return Health(
            failures=failures,
            failing_since=self.failing_since or now,
            resting_until=now + REST if failures >= ENOUGH else None,
        )

    def disabled_by(self, outcome: Outcome, now: datetime) -> DisabledReason | None:
        """Tell why the webhook ends with this answer, if it does."""
        if outcome.status == _GONE:
            return DisabledReason.GONE
        long_ago = self.failing_since is not None and now - self.failing_since >= GIVEN_UP
        return DisabledReason.FAILING if long_ago and not outcome.taken else None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredWebhook:
    """A webhook as it is stored, opened."""

    webhook_id: UUID
    receiver: Receiver
    types: tuple[str, ...]
    enabled: bool
    disabled_reason: DisabledReason | None
    health: Health
    old_key_until: datetime | None
    created_by: str
    created_at: datetime
    version: int

    def keys_at(self, moment: datetime) -> Sequence[str]:
        """Give the keys that sign at a moment."""
        both = self.old_key_until is not None and moment < self.old_key_until
        return self.receiver.keys if both else self.receiver.keys[:1]

    def view(self, now: datetime) -> Webhook:
        """Give what its organization is shown of it."""
        return Webhook(
            id=self.webhook_id,
            url=self.receiver.url,
            types=list(self.types),
            description=self.receiver.description,
            enabled=self.enabled,
            disabled_reason=self.disabled_reason,
            failing_since=self.health.failing_since,
            old_key_until=self.old_key_until if len(self.keys_at(now)) > 1 else None,
            created_by=self.created_by,
            created_at=self.created_at,
            version=self.version,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Where a delivery stands after an attempt: its state, and when it is tried again."""

    state: DeliveryState
    due_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sending:
    """One message that is about to be sent."""

    delivery_id: UUID
    webhook_id: UUID
    message: Message


def standing_after(outcome: Outcome, tries: int, chance: float, now: datetime) -> Standing:
    """Decide what becomes of a delivery that was tried so often; ``chance``, from 0 to 1, spreads what failed together.

    A wait is up to a tenth longer than said.
    """
    if outcome.taken:
        return Standing(state=DeliveryState.DELIVERED, ended_at=now)
    if tries > len(WAITS):
        return Standing(state=DeliveryState.FAILED, ended_at=now)
    return Standing(state=DeliveryState.PENDING, due_at=now + WAITS[tries - 1] * (1 + chance / 10))


def new_key() -> str:
    """Make a signing key of 256 random bits, written as Standard Webhooks does."""
    return KEY_PREFIX + b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def event_body(event: Event) -> bytes:
    """Write an event as it is sent: the same at each attempt."""
    data = event.model_dump(mode="json", exclude={"type", "at"})
    return _body(event.type, event.at, data)


def ping_body(webhook_id: UUID, at: datetime) -> bytes:
    """Write the message that tests a webhook."""
    return _body(PING, at, {"webhook_id": str(webhook_id)})


def signed(url: str, keys: Sequence[str], message_id: UUID, body: bytes, now: datetime) -> Message:
    """Give a body as the message that a receiver can check: signed by each key, with its id and the present time."""
    timestamp = str(int(now.timestamp()))
    content = b".".join((str(message_id).encode(), timestamp.encode(), body))
    return Message(
        url=url,
        body=body,
        headers={
            "Content-Type": "application/json",
            "User-Agent": "agentmem-webhooks",
            "webhook-id": str(message_id),
            "webhook-timestamp": timestamp,
            "webhook-signature": " ".join(_signature(key, content) for key in keys),
        },
    )


def _body(kind: str, at: datetime, data: JsonValue) -> bytes:
    timestamp = at.isoformat().replace("+00:00", "Z")
    return json.dumps({"type": kind, "timestamp": timestamp, "data": data}, separators=(",", ":")).encode()


def _signature(key: str, content: bytes) -> str:
    digest = hmac.digest(b64decode(key.removeprefix(KEY_PREFIX)), content, hashlib.sha256)
    return f"v1,{b64encode(digest).decode()}"
