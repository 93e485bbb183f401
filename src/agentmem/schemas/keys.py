"""API keys: what is asked for, what is shown, and the one answer that holds a secret."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Self
from uuid import UUID

from pydantic import Field, StrictBool, model_validator

from agentmem.schemas.access import Permission
from agentmem.schemas.base import Schema, Text
from agentmem.schemas.memories import Scope
from agentmem.schemas.organizations import LONGEST_KEY_LIFE, Name, Reason

LONGEST_OVERLAP: Final = 7 * 24 * 3600
"""Seconds that a key may work beside the one that replaces it."""
Network = Annotated[Text, Field(min_length=2, max_length=64)]
Networks = Annotated[list[Network], Field(max_length=64)]
Scopes = Annotated[list[Permission], Field(min_length=1, max_length=64)]
RequestsPerMinute = Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)]


class KeyEnvironment(StrEnum):
    """What a key is for; it is part of the key's text, so that people and scanners see it."""

    LIVE = "live"
    TEST = "test"


class NewApiKey(Schema):
    """An API key to create: never more than its creator may do.

    ``member_id`` is whom the key acts as, by default the creator; ``scopes`` default to all that the creator and the
    member may do. ``binding`` keeps the key inside the memories of a user, agent, run or app. An empty ``networks`` is
    any address.
    """

    name: Name
    member_id: UUID | None = None
    environment: KeyEnvironment = KeyEnvironment.LIVE
    scopes: Scopes | None = None
    binding: Scope = Field(default_factory=Scope)
    networks: Networks = Field(default_factory=list)
    expires_in_days: Annotated[int, Field(ge=1, le=LONGEST_KEY_LIFE, strict=True)] | None = None
    requests_per_minute: RequestsPerMinute | None = None


class ApiKeyPatch(Schema):
    """Changes to an API key; what is not given stays as it is, and only its rate limit can be taken away."""

    name: Name | None = None
    scopes: Scopes | None = None
    networks: Networks | None = None
    requests_per_minute: RequestsPerMinute | None = None

    @model_validator(mode="after")
    def _only_the_rate_may_go(self) -> Self:
        emptied = [name for name in self.model_fields_set - {"requests_per_minute"} if getattr(self, name) is None]
        if emptied:
            raise ValueError(f"{', '.join(sorted(emptied))} cannot be taken away; only requests_per_minute can")
        return self


class ApiKey(Schema):
    """An API key as it stands, without its secret."""

    id: str
    name: str
    member_id: UUID
    created_by: UUID
    parent_key_id: str | None = None
    environment: KeyEnvironment
    last_four: str
    scopes: list[Permission]
    binding: Scope
    networks: list[str]
    requests_per_minute: int | None = None
    created_at: datetime
    expires_at: datetime
    rotated_from: str | None = None
    revoked_at: datetime | None = None
    revoke_reason: str | None = None
    last_used_at: datetime | None = None
    version: int


class IssuedKey(Schema):
    """A new API key with its secret, which is shown this once.

    ``key`` is ``None`` in the answer to a repetition (same ``Idempotency-Key``) of a request that was answered: the
    secret is stored nowhere. If that answer was lost, rotate the key or revoke it and make another.
    """

    key: Annotated[str | None, Field(repr=False)]
    api_key: ApiKey


class Rotation(Schema):
    """For how many seconds the old key stays good beside its successor."""

    overlap_seconds: Annotated[int, Field(ge=0, le=LONGEST_OVERLAP, strict=True)] = 24 * 3600


class Revocation(Schema):
    """Why a key is revoked, and whether the keys that were made with it go as well."""

    reason: Reason = "revoked by its organization"
    descendants: StrictBool = False


class LeakReport(Schema):
    """A whole API key that was found where it should not be."""

    key: Annotated[Text, Field(min_length=1, max_length=255, repr=False)]
    found_at: Annotated[Text, Field(max_length=2048)] | None = None


class LeakOutcome(Schema):
    """The answer to a report, the same whether the key was known or not."""

    accepted: bool = True
