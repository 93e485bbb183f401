"""Requests and views of memories: the one vocabulary of every entrypoint."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Generic, Literal, Protocol, Self, TypeVar
from uuid import UUID

from pydantic import AfterValidator, Field, JsonValue, StrictBool, model_validator

from agentmem.kit.paging import encode_cursor
from agentmem.schemas.base import NOT_BLANK, Schema, Shown, Text, UtcTime, check_json, check_not_blank, check_size
from agentmem.schemas.classification import Classification


class Kind(StrEnum):
    """What sort of knowledge a memory holds."""

    EPISODIC = "episodic"
    SEMANTIC = "semantic"
    PROCEDURAL = "procedural"
    WORKING = "working"
    CORE = "core"
    RESOURCE = "resource"
    KNOWLEDGE = "knowledge"
    CONTEXTUAL = "contextual"


class Origin(StrEnum):
    """Where a memory came from, most trusted first; set by the server, never by the payload."""

    OPERATOR = "operator"
    USER = "user"
    AGENT = "agent"
    TOOL = "tool"
    EXTERNAL = "external"
    IMPORT = "import"


class Role(StrEnum):
    """Who said a message, in the terms of chat models."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    TOOL = "tool"


class OnDuplicate(StrEnum):
    """What to do with content that the same scope holds already."""

    RETURN = "return"
    KEEP = "keep"


class Order(StrEnum):
    """How a list is sorted; ties are broken by id."""

    NEWEST = "newest"
    OLDEST = "oldest"
    LATEST_OCCURRED = "latest_occurred"
    EARLIEST_OCCURRED = "earliest_occurred"


class SearchMode(StrEnum):
    """Which signals a search uses."""

    HYBRID = "hybrid"
    LEXICAL = "lexical"
    SEMANTIC = "semantic"


ScopeId = Annotated[Text, Field(min_length=1, max_length=255), AfterValidator(check_not_blank), Shown(NOT_BLANK)]
Content = Annotated[Text, AfterValidator(check_not_blank), Shown(NOT_BLANK)]
Metadata = Annotated[dict[Text, JsonValue], AfterValidator(check_json), AfterValidator(check_size)]


class Scope(Schema):
    """Whose memories: any of the ids may be absent; all that are given must match."""

    user_id: ScopeId | None = None
    agent_id: ScopeId | None = None
    run_id: ScopeId | None = None
    app_id: ScopeId | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no id is given, which means the whole organization."""
        return not (self.user_id or self.agent_id or self.run_id or self.app_id)


class Message(Schema):
    """One turn of a conversation."""

    role: Role = Role.USER
    content: Content
    name: Annotated[Text, Field(max_length=255)] | None = None
    occurred_at: UtcTime | None = None
    metadata: Metadata | None = None


class Source(Schema):
    """What a writer says of where a new memory comes from; it can lower how far the memory is trusted, never raise it.

    ``origin`` names less trusted hands than the writer's own (a web page is ``external``), ``uri`` and ``digest``
    (SHA-256, in hex) what was read, and ``parents`` the memories that this one was made of.
    """

    origin: Origin | None = None
    uri: Annotated[Text, Field(min_length=1, max_length=2048)] | None = None
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    parents: Annotated[tuple[UUID, ...], Field(max_length=64)] = ()


class Provenance(Schema):
    """Who wrote a memory, and from what, as the server knows it; it never changes.

    ``uri`` and ``digest`` are what the writer said. What was written before provenance was kept has the ``principal``
    of its first version alone.
    """

    memory_id: UUID
    principal: str
    api_key: str | None = None
    request_id: str | None = None
    origin: Origin
    uri: str | None = None
    digest: str | None = None
    parents: list[UUID] = Field(default_factory=list)
    recorded_at: UtcTime


class MemoryAttributes(Schema):
    """What can be said about a memory beside its content."""

    kind: Kind = Kind.EPISODIC
    metadata: Metadata = Field(default_factory=dict)
    importance: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.5
    pinned: StrictBool = False
    occurred_at: UtcTime | None = None
    expires_at: UtcTime | None = None
    classification: Classification = Classification.INTERNAL
    source: Source | None = None


class NewMemory(MemoryAttributes, Scope):
    """A memory to add: its scope, content and attributes."""

    content: Content
    role: Role | None = None
    actor: Annotated[Text, Field(max_length=255)] | None = None


class MemoryPatch(Schema):
    """Changes to a memory; what is not given stays as it is, and only an expiry can be taken away."""

    content: Content | None = None
    kind: Kind | None = None
    metadata: Metadata | None = None
    importance: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    pinned: StrictBool | None = None
    occurred_at: UtcTime | None = None
    expires_at: UtcTime | None = None
    classification: Classification | None = None

    @model_validator(mode="after")
    def _only_expiry_may_go(self) -> Self:
        changed = (self.model_fields_set & MemoryPatch.model_fields.keys()) - {"expires_at"}
        emptied = [name for name in changed if getattr(self, name) is None]
        if emptied:
            raise ValueError(f"{', '.join(sorted(emptied))} cannot be taken away; only expires_at can")
        return self


class MemoryRecord(Schema):
    """A memory as it is stored, in one version."""

    id: UUID
    content: str
    user_id: str | None = None
    agent_id: str | None = None
    run_id: str | None = None
    app_id: str | None = None
    kind: Kind
    role: Role | None = None
    actor: str | None = None
    origin: Origin
    authority: Origin
    classification: Classification = Classification.INTERNAL
    metadata: dict[str, JsonValue]
    importance: float
    pinned: bool
    occurred_at: UtcTime
    created_at: UtcTime
    updated_at: UtcTime
    superseded_at: UtcTime | None = None
    superseded_by: UUID | None = None
    expires_at: UtcTime | None = None
    deleted_at: UtcTime | None = None
    version: int


class Added(Schema):
    """The answer to an add: the memories in the order given, and which of them were there before."""

    memories: list[MemoryRecord]
    duplicates: list[UUID] = Field(default_factory=list)
    pending: bool = False
    """Whether the embedder failed, so that the memories are found by their words only until it is back."""


class AddedMany(Schema):
    """Counts of a bulk add."""

    added: int
    duplicates: int


class Imported(Schema):
    """Counts of an import; ``skipped`` memories were there already."""

    imported: int
    skipped: int


class ExportedVersion(Schema):
    """One version of a memory in an export."""

    change: str
    changed_by: str
    memory: MemoryRecord


class ExportedMemory(Schema):
    """One line of an export: a memory with its whole history; turns of one ``thread`` are neighbours."""

    format: Literal[1] = 1
    thread: int
    versions: Annotated[list[ExportedVersion], Field(min_length=1)]

    @property
    def characters(self) -> int:
        """The length of all its contents."""
        return sum(len(version.memory.content) for version in self.versions)


class Deleted(Schema):
    """How many memories a call deleted."""

    deleted: int


class Change(Schema):
    """One entry of a memory's history, oldest first."""

    version: int
    change: str
    changed_by: str
    changed_at: datetime
    memory: MemoryRecord


Item = TypeVar("Item")


class Page(Schema, Generic[Item]):
    """One page of a list; ``next_cursor`` is absent on the last."""

    items: list[Item]
    next_cursor: str | None = None


class Identified(Protocol):
    """What a page can go on after."""

    @property
    def id(self) -> UUID | str:
        """What its list is ordered by."""


ItemWithId = TypeVar("ItemWithId", bound=Identified)


def page_by_id(found: list[ItemWithId], limit: int, fingerprint: str) -> Page[ItemWithId]:
    """Make a page of up to ``limit`` items, ordered by their ids; ``found`` holds one more where others follow."""
    last = encode_cursor(fingerprint, [str(found[limit - 1].id)]) if len(found) > limit else None
    return Page(items=found[:limit], next_cursor=last)


class Signal(Schema):
    """One reason why a memory was found: its value within the query's candidates and what it added to the score."""

    value: float
    contribution: float


class SearchHit(Schema):
    """A memory that was found, with its score from 0 to 1."""

    memory: MemoryRecord
    score: float
    signals: dict[str, Signal] | None = None


class Timings(Schema):
    """Where the time of a search went, in milliseconds."""

    embed_ms: float
    database_ms: float
    rank_ms: float
    rerank_ms: float = 0.0
    total_ms: float


class SearchResults(Schema):
    """Memories that were found, best first."""

    hits: list[SearchHit]
    timings: Timings
    degraded: str | None = None
    """What was left out since it failed: ``embedder``, ``reranker`` or both; absent when the answer is whole."""


class Citation(Schema):
    """Which memory a marker in a packed context stands for."""

    marker: int
    memory_id: UUID
    occurred_at: datetime
    score: float
    authority: Origin


class PackedContext(Schema):
    """Memories as text for a prompt, within a token budget."""

    text: str
    tokens: int
    budget: int
    citations: list[Citation]
    left_out: int
    degraded: str | None = None
    """What the search behind it had to leave out, as in the results of a search."""


class Stats(Schema):
    """Counts of a scope."""

    memories: int
    deleted: int
    pinned: int
    versions: int
    users: int
    agents: int
    runs: int
    kinds: dict[str, int]
    earliest: datetime | None
    latest: datetime | None
    pending_vectors: int


class NearDuplicate(Schema):
    """Two memories of one scope that say almost the same."""

    first: MemoryRecord
    second: MemoryRecord
    similarity: float
