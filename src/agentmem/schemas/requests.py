"""Requests that read: the arguments of search, context and list, checked once for every entrypoint."""

from __future__ import annotations

from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, StrictBool, model_validator

from agentmem.schemas.base import Schema, UtcTime
from agentmem.schemas.memories import (
    Content,
    MemoryAttributes,
    MemoryPatch,
    Message,
    NewMemory,
    OnDuplicate,
    Order,
    Origin,
    Scope,
    SearchMode,
)


class ReadRequest(Schema):
    """What every read takes: whose memories, which, how far they are trusted at least, and at which moment.

    ``as_of`` asks what was true then, ``known_at`` what the store knew then; both default to now.
    """

    scope: Scope = Field(default_factory=Scope)
    filters: dict[str, object] | None = None
    as_of: UtcTime | None = None
    known_at: UtcTime | None = None
    min_authority: Origin | None = None


class VersionRequest(Schema):
    """The version that a change expects."""

    if_version: Annotated[int, Field(ge=1, strict=True)] | None = None


class SimilarityRequest(Schema):
    """How alike two memories must be to be near duplicates: a cosine above 0 and up to 1."""

    threshold: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.95


class SearchRequest(ReadRequest):
    """A search: up to ``limit`` memories for a query of up to 10,000 characters."""

    query: Annotated[Content, Field(max_length=10_000)]
    limit: Annotated[int, Field(ge=1, le=100, strict=True)] = 10
    mode: SearchMode = SearchMode.HYBRID
    explain: StrictBool = False


class ContextRequest(ReadRequest):
    """A context of up to ``budget`` tokens for a query."""

    query: Annotated[Content, Field(max_length=10_000)]
    budget: Annotated[int, Field(ge=16, le=1_000_000, strict=True)] = 2000


class ListRequest(ReadRequest):
    """A page of up to ``limit`` memories in order."""

    order: Order = Order.NEWEST
    limit: Annotated[int, Field(ge=1, le=1000, strict=True)] = 100
    cursor: Annotated[str, Field(max_length=4096)] | None = None


class AddRequest(MemoryAttributes, Scope):
    """What is to be remembered: one ``content``, the ``messages`` of a conversation, or whole ``memories``.

    The scope and the attributes stand for every item that names none itself.
    """

    content: Content | None = None
    messages: Annotated[list[Message], Field(min_length=1, max_length=1000)] | None = None
    memories: Annotated[list[NewMemory], Field(min_length=1, max_length=1000)] | None = None
    on_duplicate: OnDuplicate | None = None

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        if sum(part is not None for part in (self.content, self.messages, self.memories)) != 1:
            raise ValueError("give one of content, messages and memories")
        return self


class PinRequest(Schema):
    """Whether a memory is pinned."""

    pinned: StrictBool = True


class PatchOf(MemoryPatch):
    """Changes to the memory with this id, and the version they expect."""

    id: UUID
    if_version: Annotated[int, Field(ge=1, strict=True)] | None = None

    @classmethod
    def of(cls, memory_id: UUID, patch: MemoryPatch, if_version: int | None) -> Self:
        """Make it of the changes alone."""
        return cls.model_validate({**patch.model_dump(exclude_unset=True), "id": memory_id, "if_version": if_version})

    @property
    def patch(self) -> MemoryPatch:
        """The changes alone."""
        given = self.model_fields_set - {"id", "if_version"}
        return MemoryPatch.model_validate({name: getattr(self, name) for name in given})


class IdAtVersion(Schema):
    """A memory and the version that a change expects."""

    id: UUID
    if_version: Annotated[int, Field(ge=1, strict=True)] | None = None


class BatchUpdate(Schema):
    """Changes to many memories: all are done or none."""

    changes: Annotated[list[PatchOf], Field(min_length=1, max_length=1000)]


class BatchDelete(Schema):
    """Memories to delete: all are or none."""

    memories: Annotated[list[IdAtVersion], Field(min_length=1, max_length=1000)]
