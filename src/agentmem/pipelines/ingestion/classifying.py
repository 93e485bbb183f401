"""Memories that change their class: what they have said is indexed anew, as their new class lets it be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from agentmem.features.memories.batches import MemoryBatches
from agentmem.features.memories.classifying import Reclassified
from agentmem.features.memories.model import PreparedMemory, StoredVersion
from agentmem.foundation.authorization.caller import Caller
from agentmem.kit.ids import MemoryId
from agentmem.pipelines.ingestion.pipeline import Draft, Ingestion
from agentmem.schemas.classification import Classification, embeddable
from agentmem.schemas.memories import MemoryPatch, MemoryRecord, NewMemory, OnDuplicate


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassChange:
    """The class that a memory has, and the one that it is to have."""

    before: Classification
    after: Classification


@dataclass(frozen=True, kw_only=True)
class Reclassifying:
    """Prepares changes of classes."""

    stored: MemoryBatches
    ingestion: Ingestion

    async def prepare(self, caller: Caller, changes: Mapping[MemoryId, ClassChange]) -> dict[MemoryId, Reclassified]:
        """Give the changes with all that the memories have said, where that is indexed otherwise then."""
        anew = [memory_id for memory_id, change in changes.items() if self._differs(change)]
        texts = await self.stored.texts(caller, anew) if anew else []
        drafts = [
            patched(text.record, MemoryPatch(classification=changes[MemoryId(text.record.id)].after)) for text in texts
        ]
        made = await self.ingestion.prepare_or_defer(caller, drafts) if drafts else []
        indexed: dict[UUID, list[tuple[StoredVersion, PreparedMemory]]] = defaultdict(list)
        for text, prepared in zip(texts, made, strict=True):
            indexed[text.record.id].append((text, prepared))
        return {
            memory_id: Reclassified(
                classification=change.after, texts=indexed[memory_id] if memory_id in anew else None
            )
            for memory_id, change in changes.items()
        }

    def _differs(self, change: ClassChange) -> bool:
        """Tell whether a text of one class is indexed otherwise than one of another: at all, and with vectors."""
        may = embeddable(sends_texts=self.ingestion.models.current.sends_texts)
        one, other = change.before, change.after
        return (one.is_indexed, one in may) != (other.is_indexed, other in may)


def patched(record: MemoryRecord, patch: MemoryPatch) -> Draft:
    """Make the draft of a memory as the patch leaves it: what its index needs."""
    new = NewMemory(
        content=patch.content if patch.content is not None else record.content,
        actor=record.actor,
        user_id=record.user_id,
        occurred_at=patch.occurred_at or record.occurred_at,
        classification=patch.classification or record.classification,
    )
    return Draft(new=new, thread=0, on_duplicate=OnDuplicate.KEEP)
