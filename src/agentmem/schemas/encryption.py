"""The keys of an organization, as those who administer it see them; never a key itself."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from agentmem.schemas.base import Schema, Text


class KeyState(Schema):
    """A key of the organization: ``values`` counts by table what it seals, ``subject_keys`` the keys that it wraps.

    A retired key seals nothing new, and is removed once nothing is sealed by it.
    """

    key_id: UUID
    purpose: str
    provider: str
    master_key_id: str
    created_at: datetime
    retired_at: datetime | None
    values: dict[str, int]
    subject_keys: int


class KeyInventory(Schema):
    """Which key protects how much; ``subject_values`` counts by table what keys of subjects seal."""

    keys: list[KeyState]
    subject_keys: int
    subject_values: dict[str, int]
    active_master_key_id: str


class MasterKeyState(Schema):
    """A master key: ``wraps`` counts the keys of organizations that it wraps. One that wraps none can be destroyed."""

    id: str
    active: bool
    wraps: int


class MasterKeyName(Schema):
    """Which master key."""

    master_key_id: Annotated[Text, Field(min_length=1, max_length=2048)]


class MasterKeyRotation(Schema):
    """The master key that wraps from now on; the organizations' keys are wrapped anew in the background."""

    master_key_id: str
