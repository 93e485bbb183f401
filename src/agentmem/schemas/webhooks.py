"""Webhooks: where events are sent to, and what became of what was sent."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Self
from uuid import UUID

from pydantic import Field, StrictBool, model_validator

from agentmem.schemas.base import Schema, Text
from agentmem.schemas.events import EventPattern

LONGEST_OVERLAP: Final = 7 * 24 * 3600
"""Seconds that an old signing key may sign beside the one that replaces it."""
Url = Annotated[Text, Field(min_length=8, max_length=2048)]
Description = Annotated[Text, Field(max_length=1000)]
Types = Annotated[list[EventPattern], Field(min_length=1, max_length=64)]


class DisabledReason(StrEnum):
    """Why a webhook is disabled: by whoever may change it, or because of how its receiver answered."""

    ASKED = "asked"
    GONE = "gone"
    FAILING = "failing"


class DeliveryState(StrEnum):
    """Whether a message was taken by its receiver, or is tried no more."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class NewWebhook(Schema):
    """A webhook to create: where events go, and which; ``memory.*`` is every type of that group, ``*`` every type."""

    url: Url
    types: Types = Field(default_factory=lambda: ["*"])
    description: Description = ""


class WebhookPatch(Schema):
    """Changes to a webhook; what is not given stays as it is."""

    url: Url | None = None
    types: Types | None = None
    description: Description | None = None
    enabled: StrictBool | None = None

    @model_validator(mode="after")
    def _nothing_goes(self) -> Self:
        emptied = [name for name in self.model_fields_set if getattr(self, name) is None]
        if emptied:
            raise ValueError(f"{', '.join(sorted(emptied))} cannot be taken away")
        return self


class Webhook(Schema):
    """A webhook as it stands, without its signing key.

    ``failing_since`` is the first of the failures since the last success. Until ``old_key_until`` the key before the
    last rotation signs too.
    """

    id: UUID
    url: str
    types: list[str]
    description: str
    enabled: bool
    disabled_reason: DisabledReason | None = None
    failing_since: datetime | None = None
    old_key_until: datetime | None = None
    created_by: str
    created_at: datetime
    version: int


class IssuedWebhook(Schema):
    """A webhook with its signing key (``whsec_...``), which is shown this once.

    ``key`` is ``None`` in the answer to a repetition (same ``Idempotency-Key``) of a request that was answered. If that
    answer was lost, rotate the key.
    """

    key: Annotated[str | None, Field(repr=False)]
    webhook: Webhook


class KeyRotation(Schema):
    """For how many seconds the old key signs beside the new one."""

    overlap_seconds: Annotated[int, Field(ge=0, le=LONGEST_OVERLAP, strict=True)] = 24 * 3600


class Attempt(Schema):
    """One time that a message was sent: the status of the answer, or what went wrong before there was one."""

    at: datetime
    status: int | None = None
    error: str | None = None
    duration_ms: int


class Delivery(Schema):
    """One message to one receiver; ``message_id`` is what it is sent with as ``webhook-id``, each time the same."""

    id: UUID
    webhook_id: UUID
    message_id: UUID
    type: str
    sequence: int | None = None
    state: DeliveryState
    attempts: list[Attempt]
    created_at: datetime
    next_attempt_at: datetime | None = None
    ended_at: datetime | None = None
