"""Changing how memories may be handled: their class changes in all their versions, and their indexes with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from sqlalchemy import select, update

from agentmem.features.memories.index_writing import write_index
from agentmem.features.memories.model import PreparedMemory, StoredVersion
from agentmem.features.memories.packing import hold_rewriting
from agentmem.features.memories.provenance import is_one_of
from agentmem.features.memories.rewriting import texts_at
from agentmem.features.memories.tables import memories
from agentmem.features.memories.upkeep import follow_memories, unindex
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import MemoryId
from agentmem.schemas.classification import Classification

Indexed = Sequence[tuple[StoredVersion, PreparedMemory]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reclassified:
    """The class that a memory is to have; ``texts``, all that it has said, are indexed anew where they are given."""

    classification: Classification
    texts: Indexed | None = None


NO_CLASSES: Final[Mapping[MemoryId, Reclassified]] = MappingProxyType({})


async def texts_of_memories(tx: Transaction, ids: Sequence[MemoryId]) -> list[StoredVersion]:
    """Read all that memories have said: the last version at each of their places."""
    places = select(memories.c.place).distinct().where(tx.own(memories), is_one_of(memories.c.memory_id, ids))
    return await texts_at(tx, list((await tx.execute(places)).scalars()))


async def reclassify(
    tx: Transaction, versions: Sequence[StoredVersion], changes: Mapping[MemoryId, Reclassified]
) -> list[StoredVersion]:
    """Give memories that are locked their classes, and give them as they are then.

    Raises :class:`~agentmem.errors.PermissionDenied` for a lower class, unless the caller may declassify.
    """
    changed = {
        MemoryId(version.record.id): changes[MemoryId(version.record.id)]
        for version in versions
        if MemoryId(version.record.id) in changes
    }
    for version in versions:
        change, record = changed.get(MemoryId(version.record.id)), version.record
        if change is not None and change.classification.rank < record.classification.rank:
            tx.caller.require(Permission.MEMORY_DECLASSIFY)
        if change is not None:
            tx.note(f"classification.{record.id}", f"{record.classification.value} to {change.classification.value}")
    anew = [memory_id for memory_id, change in changed.items() if change.texts is not None]
    if anew:
        await hold_rewriting(tx)
        await unindex(tx, anew)
    for classification in Classification:
        ids = [memory_id for memory_id, change in changed.items() if change.classification is classification]
        if ids:
            every = (tx.own(memories), is_one_of(memories.c.memory_id, ids))
            await tx.execute(update(memories).where(*every).values(classification=classification.value))
    texts = [
        (_classified(stored, change.classification), prepared)
        for change in changed.values()
        for stored, prepared in change.texts or ()
    ]
    if texts:
        await write_index(tx, texts, [])
        await follow_memories(tx, [stored.place for stored, _ in texts])
    return [
        _classified(version, changed[MemoryId(version.record.id)].classification)
        if MemoryId(version.record.id) in changed
        else version
        for version in versions
    ]


def _classified(version: StoredVersion, classification: Classification) -> StoredVersion:
    return replace(version, record=version.record.model_copy(update={"classification": classification}))
