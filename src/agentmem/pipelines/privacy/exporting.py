"""Everything that is stored about a user, line by line: nothing of it is held but the ids of their memories."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from agentmem.features.audit.service import AuditService
from agentmem.features.memories.subjects import SubjectMemories
from agentmem.features.privacy.service import PrivacyService
from agentmem.foundation.authorization.caller import Caller
from agentmem.schemas.entities import EntityKind
from agentmem.schemas.memories import MemoryRecord
from agentmem.schemas.privacy import (
    ExportedDerived,
    ExportedEntity,
    ExportedEntry,
    ExportedErasure,
    ExportedOwn,
    SubjectLine,
)

READ_TOGETHER: Final = 32
"""Memories that are read together; each may be a megabyte, and have many versions."""
ENTRIES_TOGETHER: Final = 1000
Entity = tuple[EntityKind, str]


@dataclass(frozen=True, kw_only=True)
class SubjectExport:
    """Gives away what is stored about a user, to whoever may read that."""

    service: PrivacyService
    memories: SubjectMemories
    audit: AuditService

    async def lines(self, caller: Caller, user_id: str) -> AsyncIterator[SubjectLine]:
        """Give the lines of an export, the user's own memories first.

        What other users are told, even of this one, is theirs: of what was derived for them there is the id alone.
        """
        yield await self.service.begin_export(caller, user_id)
        ids: list[UUID] = []
        named: Counter[Entity] = Counter()
        after = -1
        while batch := await self.memories.own(caller, user_id, after, READ_TOGETHER):
            for stored, provenance in batch:
                yield ExportedOwn(memory=stored.exported, provenance=provenance)
                ids.append(provenance.memory_id)
                named.update(_named(stored.exported.versions[-1].memory))
            after = batch[-1][0].place
        async for derived in self._derived(caller, ids):
            yield derived
        for (kind, name), number in sorted(named.items()):
            yield ExportedEntity(kind=kind, id=name, memories=number)
        for erasure in await self.service.erasures_of(caller, user_id):
            yield ExportedErasure(erasure=erasure)
        async for entry in self._entries(caller, ids):
            yield entry

    async def _derived(self, caller: Caller, ids: list[UUID]) -> AsyncIterator[ExportedDerived]:
        derived = await self.memories.derived(caller, ids)
        for start in range(0, len(derived), READ_TOGETHER):
            for stored in await self.memories.several(caller, derived[start : start + READ_TOGETHER]):
                last = stored.exported.versions[-1].memory
                shared = all(version.memory.user_id is None for version in stored.exported.versions)
                yield ExportedDerived(memory_id=last.id, memory=stored.exported if shared else None)

    async def _entries(self, caller: Caller, ids: list[UUID]) -> AsyncIterator[ExportedEntry]:
        after: UUID | None = None
        while found := await self.audit.about(caller, ids, after, ENTRIES_TOGETHER):
            for entry in found:
                yield ExportedEntry(entry=entry)
            after = found[-1].id


def _named(record: MemoryRecord) -> Iterator[Entity]:
    if record.deleted_at is not None:
        return
    given = {EntityKind.AGENTS: record.agent_id, EntityKind.RUNS: record.run_id, EntityKind.APPS: record.app_id}
    for kind, name in given.items():
        if name is not None:
            yield kind, name
