"""Where memories come from, how far that is trusted, and what an organization allows of it."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self
from uuid import UUID

from pydantic import Field, StrictBool, model_validator

from agentmem.schemas.base import Schema, Text, UtcTime
from agentmem.schemas.memories import Origin, Scope
from agentmem.schemas.policy_kinds import PolicyKind

MOST_AN_HOUR: Final = 10_000_000


class ProvenancePolicy(Schema):
    """How many memories of an origin one principal may add in an hour; an origin that is not named has no cap."""

    kind: Literal[PolicyKind.PROVENANCE] = PolicyKind.PROVENANCE
    hourly_caps: dict[Origin, Annotated[int, Field(ge=0, le=MOST_AN_HOUR, strict=True)]] = Field(default_factory=dict)


class Promotion(Schema):
    """How far a memory is to be trusted from now on: further than before, and no further than whoever promotes it."""

    authority: Origin


class Taint(Schema):
    """Which memories are no longer believed: all given conditions must hold, and one must be given.

    ``actor`` is who wrote them or changed what they say (``member:<id>``), ``api_key`` with which key they were added,
    ``since`` and ``until`` when that was, ``ids`` which they are. What was derived from them goes with them. A
    ``dry_run`` says how many they are and changes nothing.
    """

    origin: Origin | None = None
    actor: Annotated[Text, Field(min_length=1, max_length=255)] | None = None
    api_key: Annotated[Text, Field(min_length=1, max_length=64)] | None = None
    since: UtcTime | None = None
    until: UtcTime | None = None
    ids: Annotated[list[UUID], Field(min_length=1, max_length=1000)] | None = None
    dry_run: StrictBool = True

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.model_dump(exclude={"dry_run"}, exclude_none=True):
            raise ValueError("names nothing: give an origin, an actor, an api_key, a time or ids")
        return self


class Rollback(Schema):
    """To which moment the memories of a scope go back, or all; a ``dry_run`` counts and changes nothing.

    What was added since is deleted, what was changed or deleted since is as it was. What was tainted stays so.
    """

    to: UtcTime
    scope: Scope = Field(default_factory=Scope)
    dry_run: StrictBool = True


class Undone(Schema):
    """How many memories a taint or a rollback changed, or would; ``first`` names up to a hundred of them."""

    memories: int
    first: list[UUID]
    dry_run: bool
