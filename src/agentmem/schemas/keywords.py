"""Keyword arguments that several methods of the embedded library and of the client share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from pydantic import JsonValue

from agentmem.schemas.classification import Classification
from agentmem.schemas.memories import Kind, Message, NewMemory, Origin, Source

Given = str | Message | NewMemory | Mapping[str, object]
"""What can be given to be remembered."""


class ScopeKeywords(TypedDict, total=False):
    """Whose memories."""

    user_id: str | None
    agent_id: str | None
    run_id: str | None
    app_id: str | None


class MemoryKeywords(ScopeKeywords, total=False):
    """What is said about a memory beside its content."""

    kind: Kind | str
    metadata: Mapping[str, JsonValue]
    occurred_at: datetime | str
    importance: float
    expires_at: datetime | str
    pinned: bool
    classification: Classification | str
    source: Source | Mapping[str, object]


class ViewKeywords(ScopeKeywords, total=False):
    """What a read looks at."""

    filters: Mapping[str, object] | None
    as_of: datetime | str | None
    known_at: datetime | str | None
    min_authority: Origin | str | None


class TaintKeywords(TypedDict, total=False):
    """Which memories are no longer believed; all given conditions must hold."""

    origin: Origin | str
    actor: str
    api_key: str
    since: datetime | str
    until: datetime | str
    ids: Sequence[UUID | str]


class PatchKeywords(TypedDict, total=False):
    """What an update may change; an ``expires_at`` of ``None`` lifts the expiry."""

    content: str
    kind: Kind | str
    metadata: Mapping[str, JsonValue]
    importance: float
    pinned: bool
    occurred_at: datetime | str
    expires_at: datetime | str | None
    classification: Classification | str
