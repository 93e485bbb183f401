"""Where memories come from, how far that is trusted, and what an organization allows of it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from agentmem.schemas.base import Schema
from agentmem.schemas.memories import Origin
from agentmem.schemas.policy_kinds import PolicyKind

MOST_AN_HOUR: Final = 10_000_000


class ProvenancePolicy(Schema):
    """How many memories of an origin one principal may add in an hour; an origin that is not named has no cap."""

    kind: Literal[PolicyKind.PROVENANCE] = PolicyKind.PROVENANCE
    hourly_caps: dict[Origin, Annotated[int, Field(ge=0, le=MOST_AN_HOUR, strict=True)]] = Field(default_factory=dict)
