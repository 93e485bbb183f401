"""What is stored of a text where an organization lets nobody keep personal data and secrets."""

from __future__ import annotations

from typing import TypeVar, cast

from agentmem.foundation.masking.engine import named
from agentmem.foundation.masking.rule import MaskingRule
from agentmem.schemas.memories import MemoryPatch, MemoryRecord, NewMemory

Texts = TypeVar("Texts", bound=NewMemory | MemoryPatch | MemoryRecord)


def masked(texts: Texts, rule: MaskingRule) -> Texts:
    """Mask content, speaker and metadata, those that are given."""
    changed: dict[str, object] = {}
    if texts.content is not None:
        changed["content"] = rule.stored(texts.content)
    if texts.metadata:
        changed["metadata"] = rule.masker.mask_json(texts.metadata, named)
    if not isinstance(texts, MemoryPatch) and texts.actor is not None:
        changed["actor"] = rule.stored(texts.actor)
    return cast("Texts", texts.model_copy(update=changed))
