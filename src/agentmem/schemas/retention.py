"""How long memories are kept: an organization's rules, and what they would remove."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import Field, StrictBool

from agentmem.schemas.base import Schema
from agentmem.schemas.memories import Kind, Scope
from agentmem.schemas.policy_kinds import PolicyKind

MOST_RULES: Final = 50


class RetentionRule(Schema):
    """Memories of a kind and a scope are kept for so many days after they were added; what is not given is any.

    Pinned ones and those that were deleted are no exceptions, users who are held or restricted are.
    """

    days: Annotated[int, Field(ge=1, le=36_500, strict=True)]
    kind: Kind | None = None
    scope: Scope = Field(default_factory=Scope)


class RetentionPolicy(Schema):
    """What is removed for good, every day, once it was kept for so long; without a rule everything is kept."""

    kind: Literal[PolicyKind.RETENTION] = PolicyKind.RETENTION
    rules: Annotated[tuple[RetentionRule, ...], Field(max_length=MOST_RULES)] = ()


class RetentionRequest(Schema):
    """Whether to say what the rules would remove, or to have it removed."""

    dry_run: StrictBool = True


class RetentionOutcome(Schema):
    """What a rule would remove now; ``kept`` counts what it spares: it is about users who are held or restricted."""

    rule: RetentionRule
    memories: int
    kept: int


class RetentionReport(Schema):
    """What each rule would remove; one memory may be under several. Without a dry run, the job that removes it."""

    rules: list[RetentionOutcome]
    job_id: UUID | None = None
