"""The audit trail: who did what to which ids, and whether the trail is whole."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StrictBool

from agentmem.schemas.base import Schema, Text, UtcTime
from agentmem.schemas.policy_kinds import PolicyKind


class AuditPolicy(Schema):
    """What is written into the trail beside changes: with ``reads``, which memories each read has given to whom."""

    kind: Literal[PolicyKind.AUDIT] = PolicyKind.AUDIT
    reads: StrictBool = False


class AuditFormat(StrEnum):
    """How an export writes an entry: JSON as the API gives it, CEF 0, or OCSF 1.3 (API Activity, as JSON)."""

    JSONL = "jsonl"
    CEF = "cef"
    OCSF = "ocsf"


class AuditQuery(Schema):
    """Which entries, oldest first: all given conditions must hold; the span has ``since`` in it and ``until`` not."""

    since: UtcTime | None = None
    until: UtcTime | None = None
    actor: Annotated[Text, Field(min_length=1, max_length=255)] | None = None
    action: Annotated[Text, Field(min_length=1, max_length=255)] | None = None
    outcome: Annotated[Text, Field(pattern="^(done|denied|failed)$")] | None = None
    target: UUID | None = None
    limit: Annotated[int, Field(ge=1, le=1000, strict=True)] = 100
    cursor: Annotated[str, Field(max_length=4096)] | None = None


class AuditEntry(Schema):
    """One thing that was done, denied or failed; it names ids and never holds content."""

    id: UUID
    at: datetime
    actor: str
    action: str
    outcome: str
    targets: list[UUID]
    detail: dict[str, str]


class AuditProblem(Schema):
    """One place where the trail is not what was sealed."""

    seal: int
    entry_id: UUID | None = None
    problem: str


class SealHead(Schema):
    """The newest seal of a trail: kept elsewhere, it shows later that nothing up to it has been cut off."""

    seal: Annotated[int, Field(ge=1)]
    digest: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]


class AuditVerification(Schema):
    """Whether the trail is whole; ``unsealed`` entries are too new to be in a seal.

    ``head`` is the newest seal, absent while there is none: keep it, and give it to the next verification.
    """

    whole: bool
    seals: int
    entries: int
    unsealed: int
    problems: list[AuditProblem]
    head: SealHead | None = None
