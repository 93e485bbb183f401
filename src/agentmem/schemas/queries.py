"""What is asked in the query part of a URL, where every value is text."""

from __future__ import annotations

import datetime as dt
import json
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field, JsonValue

from agentmem.errors import Fault, InvalidInput
from agentmem.kit.clock import utc_now
from agentmem.schemas.audit import AuditFormat, AuditQuery, SealHead
from agentmem.schemas.base import Schema, Text, UtcTime, check_json, check_written, parse
from agentmem.schemas.classification import Classification
from agentmem.schemas.events import LARGEST_SEQUENCE, EventPattern
from agentmem.schemas.jobs import JobQuery, JobState
from agentmem.schemas.memories import Kind, Order, Origin, Scope, ScopeId
from agentmem.schemas.organizations import LONGEST_GRACE, Reason
from agentmem.schemas.requests import ListRequest, ReadRequest

CURSOR_PATTERN: Final = "^[A-Za-z0-9_-]+$"
Cursor = Annotated[str, Field(min_length=1, max_length=4096, pattern=CURSOR_PATTERN)]
Limit = Annotated[int, Field(ge=1, le=1000)]
Day = Annotated[dt.date, BeforeValidator(check_written)]
DAYS: Final = 30
MOST_DAYS: Final = 366
JsonText = Annotated[Text, Field(min_length=2, max_length=16384, description="A JSON object, as text.")]


class ScopeQuery(Scope):
    """Whose memories: all ids that are given must match."""

    @property
    def scope(self) -> Scope:
        """The ids alone."""
        return Scope(**{name: getattr(self, name) for name in Scope.model_fields})


class MomentQuery(Schema):
    """At which moment: ``as_of`` asks what was true then, ``known_at`` what the store knew then."""

    as_of: UtcTime | None = None
    known_at: UtcTime | None = None

    @property
    def request(self) -> ReadRequest:
        """What is asked, as every entrypoint knows it."""
        return ReadRequest(as_of=self.as_of, known_at=self.known_at)


class ListQuery(ScopeQuery, MomentQuery):
    """A page of memories in order."""

    filters: JsonText | None = None
    min_authority: Origin | None = None
    order: Order = Order.NEWEST
    limit: Limit = 100
    cursor: Cursor | None = None

    @property
    def listed(self) -> ListRequest:
        """What is asked, as every entrypoint knows it."""
        values = {
            name: getattr(self, name) for name in ("as_of", "known_at", "min_authority", "order", "limit", "cursor")
        }
        return parse(ListRequest, {**values, "scope": self.scope, "filters": object_of("query.filters", self.filters)})


class PageQuery(Schema):
    """A page of a list."""

    limit: Limit = 100
    cursor: Cursor | None = None


class ForceQuery(Schema):
    """Whether a change is made though it locks out whoever makes it."""

    force: bool = False


class EntitiesQuery(ScopeQuery, PageQuery):
    """A page of the ids seen within a scope."""


class DuplicatesQuery(ScopeQuery):
    """How alike two memories must be to be near duplicates: a cosine above 0 and up to 1."""

    threshold: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.95


class ImportQuery(ScopeQuery):
    """What is said of every imported memory that does not say it itself."""

    kind: Kind | None = None
    metadata: JsonText | None = None
    importance: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    pinned: bool | None = None
    occurred_at: UtcTime | None = None
    expires_at: UtcTime | None = None
    classification: Classification | None = None

    @property
    def attributes(self) -> dict[str, object]:
        """The attributes that are given."""
        values: dict[str, object] = self.model_dump(exclude_none=True, exclude={"metadata"})
        metadata = object_of("query.metadata", self.metadata)
        return values if metadata is None else {**values, "metadata": metadata}


class DaysQuery(Schema):
    """From which day to which (UTC), both included: by default the last 30 days, at most 366."""

    since: Day | None = None
    until: Day | None = None

    def span(self) -> tuple[dt.date, dt.date]:
        """Give the first and the last day; raises :class:`InvalidInput` when they are more than a year apart."""
        until = self.until or utc_now().date()
        first = until.toordinal() - DAYS + 1
        since = self.since or dt.date.fromordinal(max(1, first))
        if (until - since).days >= MOST_DAYS:
            message = f"is more than {MOST_DAYS} days before the last one; ask for a year at a time"
            raise InvalidInput(
                f"Input is not valid: query.since: {message}.", faults=[Fault(field="query.since", message=message)]
            )
        return since, until


class SubjectQuery(Schema):
    """Which user."""

    user_id: ScopeId


class GraceQuery(Schema):
    """After how many days a deletion becomes final; by default the server's setting."""

    grace_days: Annotated[int, Field(ge=0, le=LONGEST_GRACE)] | None = None


class RevocationQuery(Schema):
    """Why a key is revoked, and whether the keys that were made with it go as well."""

    reason: Reason = "revoked by its organization"
    descendants: bool = False


class EventsQuery(Schema):
    """Which events: those after a place in their order, by default from now on, and of these types.

    After ``seconds`` the stream ends, at once when it has told what is there; else it goes on until somebody ends it.
    """

    after: Annotated[int, Field(ge=0, le=LARGEST_SEQUENCE)] | None = None
    seconds: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] | None = None
    types: Annotated[list[EventPattern], Field(min_length=1, max_length=64)] = Field(default_factory=lambda: ["*"])


class AuditExportQuery(Schema):
    """In which format a trail is exported."""

    format: AuditFormat = AuditFormat.JSONL


class AuditHeadQuery(Schema):
    """The newest seal of an earlier verification, its number and its digest; either both are given or none."""

    seal: Annotated[int, Field(ge=1)] | None = None
    digest: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None

    @property
    def head(self) -> SealHead | None:
        """What is given; raises :class:`InvalidInput` for a half of it."""
        if self.seal is None and self.digest is None:
            return None
        return parse(SealHead, self.model_dump())


class AuditListQuery(PageQuery):
    """Which audit entries: every given condition must hold; ``since`` belongs to the span, ``until`` does not."""

    since: UtcTime | None = None
    until: UtcTime | None = None
    actor: Annotated[Text, Field(min_length=1, max_length=255)] | None = None
    action: Annotated[Text, Field(min_length=1, max_length=255)] | None = None
    outcome: Literal["done", "denied", "failed"] | None = None
    target: UUID | None = None

    @property
    def asked(self) -> AuditQuery:
        """What is asked, as every entrypoint knows it."""
        return AuditQuery(**{name: getattr(self, name) for name in AuditQuery.model_fields})


class JobListQuery(PageQuery):
    """Which jobs: every given condition must hold."""

    state: JobState | None = None
    kind: Annotated[Text, Field(min_length=1, max_length=255)] | None = None

    @property
    def asked(self) -> JobQuery:
        """What is asked, as every entrypoint knows it."""
        return JobQuery(**{name: getattr(self, name) for name in JobQuery.model_fields})


def object_of(field: str, text: str | None) -> dict[str, JsonValue] | None:
    """Read a JSON object that is written as text; raises :class:`InvalidInput` that names the field."""
    if text is None:
        return None
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        check_json(value)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "it holds what JSON may not"
        raise _not_an_object(field, f"is not JSON: {reason}") from None
    if not isinstance(value, dict):
        raise _not_an_object(field, "is not an object of JSON")
    return value


def _refuse_constant(name: str) -> JsonValue:
    raise ValueError(f"{name} is no JSON number")


def _not_an_object(field: str, message: str) -> InvalidInput:
    return InvalidInput(f"Input is not valid: {field}: {message}.", faults=[Fault(field=field, message=message)])
