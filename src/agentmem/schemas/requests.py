"""Requests that read: the arguments of search, context and list, checked once for every entrypoint."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictBool

from agentmem.schemas.base import Schema, UtcTime
from agentmem.schemas.memories import Content, Order, Scope, SearchMode


class ReadRequest(Schema):
    """What every read takes: whose memories, which, and at which moment.

    ``as_of`` asks what was true then, ``known_at`` what the store knew then; both default to now.
    """

    scope: Scope = Field(default_factory=Scope)
    filters: dict[str, object] | None = None
    as_of: UtcTime | None = None
    known_at: UtcTime | None = None


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
