"""The users, agents, runs and apps that memories belong to."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from agentmem.schemas.base import Schema


class EntityKind(StrEnum):
    """Which of a memory's scope ids is listed."""

    USERS = "users"
    AGENTS = "agents"
    RUNS = "runs"
    APPS = "apps"


class EntitySeen(Schema):
    """One id, how many live memories have it, and when the first and the latest of them was added."""

    id: str
    memories: int
    first_seen: datetime
    last_seen: datetime
