"""Keyword arguments of the calls that administer an organization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from agentmem.schemas.access import Permission, Role
from agentmem.schemas.jobs import JobState
from agentmem.schemas.keys import KeyEnvironment
from agentmem.schemas.memories import Scope


class KeyOptions(TypedDict, total=False):
    """What can be said about a new key beside its name."""

    member_id: UUID | str | None
    environment: KeyEnvironment | str
    scopes: Sequence[Permission | str] | None
    binding: Scope | Mapping[str, str]
    networks: Sequence[str]
    expires_in_days: int | None
    requests_per_minute: int | None


class KeyChanges(TypedDict, total=False):
    """What an update of a key may change; a rate limit of ``None`` takes it away."""

    name: str
    scopes: Sequence[Permission | str]
    networks: Sequence[str]
    requests_per_minute: int | None


class MemberChanges(TypedDict, total=False):
    """What an update of a member may change."""

    name: str
    role: Role | str
    disabled: bool


class OrganizationChanges(TypedDict, total=False):
    """What an update of an organization may change; ``unused_key_days`` of ``None`` takes that rule away."""

    name: str
    require_if_match: bool
    max_key_days: int
    unused_key_days: int | None


class WebhookChanges(TypedDict, total=False):
    """What an update of a webhook may change."""

    url: str
    types: Sequence[str]
    description: str
    enabled: bool


class AuditOptions(TypedDict, total=False):
    """Which entries of the audit trail."""

    since: datetime | str | None
    until: datetime | str | None
    actor: str | None
    action: str | None
    outcome: str | None
    target: UUID | str | None
    limit: int
    cursor: str | None


class JobOptions(TypedDict, total=False):
    """Which background jobs."""

    state: JobState | str | None
    kind: str | None
    limit: int
    cursor: str | None
