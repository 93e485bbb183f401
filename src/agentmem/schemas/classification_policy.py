"""What an organization says of classes: which memories are at least of which, and which metadata is sealed."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from agentmem.schemas.base import NOT_BLANK, Schema, Shown, Text, check_not_blank
from agentmem.schemas.classification import Classification
from agentmem.schemas.masking import MaskedKind
from agentmem.schemas.memories import Origin, ScopeId
from agentmem.schemas.policy_kinds import PolicyKind

MOST_RULES: Final = 100
MOST_SENSITIVE_KEYS: Final = 64
MetadataKey = Annotated[Text, Field(min_length=1, max_length=255), AfterValidator(check_not_blank), Shown(NOT_BLANK)]


class ClassificationRule(Schema):
    """A memory that meets every condition given here is at least of this class; without conditions every memory is.

    ``detects`` names kinds of personal data and secrets of which one stands in content, speaker or metadata;
    ``metadata_key`` a key that the metadata has.
    """

    classification: Classification
    origins: Annotated[tuple[Origin, ...], Field(max_length=len(Origin))] = ()
    user_id: ScopeId | None = None
    agent_id: ScopeId | None = None
    app_id: ScopeId | None = None
    metadata_key: MetadataKey | None = None
    detects: Annotated[tuple[MaskedKind, ...], Field(max_length=len(MaskedKind))] = ()


def check_distinct(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a key that is named twice."""
    if len(set(keys)) < len(keys):
        raise ValueError("names a key twice")
    return keys


class ClassificationPolicy(Schema):
    """Which memories are at least of which class, and which metadata is sealed.

    ``rules`` hold for what is written from then on: the highest of what a caller says and what the rules say wins. The
    values of ``sensitive_keys``, which are keys at the top of the metadata, are sealed at rest and found by equality
    alone; what was stored before is sealed by a background job.
    """

    kind: Literal[PolicyKind.CLASSIFICATION] = PolicyKind.CLASSIFICATION
    rules: Annotated[tuple[ClassificationRule, ...], Field(max_length=MOST_RULES)] = ()
    sensitive_keys: Annotated[
        tuple[MetadataKey, ...], Field(max_length=MOST_SENSITIVE_KEYS), AfterValidator(check_distinct)
    ] = ()
