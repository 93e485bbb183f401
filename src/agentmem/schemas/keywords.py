"""Keyword arguments that several methods of the embedded library and of the client share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TypedDict

from pydantic import JsonValue

from agentmem.schemas.memories import Kind, Message, NewMemory

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


class ViewKeywords(ScopeKeywords, total=False):
    """What a read looks at."""

    filters: Mapping[str, object] | None
    as_of: datetime | str | None
    known_at: datetime | str | None


class PatchKeywords(TypedDict, total=False):
    """What an update may change; an ``expires_at`` of ``None`` lifts the expiry."""

    content: str
    kind: Kind | str
    metadata: Mapping[str, JsonValue]
    importance: float
    pinned: bool
    occurred_at: datetime | str
    expires_at: datetime | str | None
