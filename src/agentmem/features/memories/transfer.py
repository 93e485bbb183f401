"""Operations behind export and import: whole memories with all their versions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

from sqlalchemy import select

from agentmem.features.memories import repository
from agentmem.features.memories.binding import bound_scope, require_unbound
from agentmem.features.memories.index_writing import allocate_places, draw_lone_places, set_live, write_index
from agentmem.features.memories.model import (
    POSITION_BITS,
    PreparedMemory,
    StoredVersion,
    lowest_authority,
    require_standing,
    rising,
    texts_of,
)
from agentmem.features.memories.provenance import is_one_of, provenance_rows
from agentmem.features.memories.tables import memories
from agentmem.features.memories.visibility import in_scope, scope_values
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import Place
from agentmem.operations import operation
from agentmem.schemas.memories import ExportedMemory, ExportedVersion, MemoryRecord, Origin, Scope


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredMemory:
    """A memory with its history and the place of its present content, by which an export is ordered."""

    place: int
    exported: ExportedMemory


@dataclass(frozen=True, kw_only=True)
class MemoryTransfer:
    """Reads and writes whole memories of the caller's organization."""

    database: Database

    @operation(Permission.MEMORY_READ, read_only=True)
    async def read(self, tx: Transaction, scope: Scope, after: int, limit: int) -> list[StoredMemory]:
        """Read memories of a scope with all their versions, deleted ones too, in the order of their places."""
        return await read_whole(tx, bound_scope(tx.caller, scope), after, limit)

    @operation(Permission.MEMORY_READ, read_only=True)
    async def unknown(self, tx: Transaction, ids: Sequence[UUID]) -> set[UUID]:
        """Give those ids that no memory has; not for bound callers, who may not know the ids of others."""
        require_unbound(tx.caller, "The import of whole memories")
        return await _unknown(tx, ids)

    @operation(Permission.MEMORY_WRITE, audit="memory.imported")
    async def write(self, tx: Transaction, imported: Sequence[tuple[ExportedMemory, Sequence[PreparedMemory]]]) -> int:
        """Store memories with their histories, and say how many; those that are there already are passed over.

        Each comes with the index of its texts, as :func:`texts_of` gives them: the last one goes to its conversation,
        those before it to places of their own. Only who may maintain the store keeps the provenance that the export
        claims: who changed what, and how far it is trusted. For others it is an import, and every version is theirs.
        Times are kept for all: the audit entry says when it was imported, and by whom.
        """
        require_unbound(tx.caller, "The import of whole memories")
        ids = [exported.versions[-1].memory.id for exported, _ in imported]
        await repository.lock_ids(tx, ids)
        unknown = await _unknown(tx, ids)
        imported = [item for item, memory_id in zip(imported, ids, strict=True) if memory_id in unknown]
        if not imported:
            return 0
        places = await allocate_places(tx, [texts[-1] for _, texts in imported])
        lone = iter(await draw_lone_places(tx, sum(len(texts) - 1 for _, texts in imported)))
        every: list[StoredVersion] = []
        indexed: list[tuple[StoredVersion, PreparedMemory]] = []
        hidden: list[Place] = []
        for (exported, texts), place in zip(imported, places, strict=True):
            own = [*islice(lone, len(texts) - 1), place]
            versions = _placed(tx, exported, own)
            every += versions
            last = {version.place: version for version in versions}
            indexed += [(last[at], text) for at, text in zip(own, texts, strict=True)]
            hidden += own[:-1] if versions[-1].record.deleted_at is None else own
        latest = {version.record.id: version for version in every}
        for version in latest.values():
            require_standing(tx.caller, version.record)
        live = len(imported) - sum(exported.versions[-1].memory.deleted_at is not None for exported, _ in imported)
        last_texts = [(latest[exported.versions[-1].memory.id], texts[-1]) for exported, texts in imported]
        rows = await repository.version_rows(tx, every, live=live)
        await write_index(tx, indexed, [*rows, *provenance_rows(tx, last_texts)])
        await set_live(tx, hidden, live=False)
        tx.touch(exported.versions[-1].memory.id for exported, _ in imported)
        return len(imported)


async def read_whole(tx: Transaction, scope: Scope, after: int, limit: int) -> list[StoredMemory]:
    """Read up to ``limit`` memories of a scope whole, deleted ones too, after a place and in the order of places."""
    values = scope_values(scope)
    current = (
        select(memories.c.memory_id)
        .where(tx.own(memories), in_scope(tuple(values)), memories.c.known_until.is_(None), memories.c.place > after)
        .order_by(memories.c.place)
        .limit(limit)
    )
    statement = select(*repository.RECORD_COLUMNS).where(tx.own(memories), memories.c.memory_id.in_(current))
    return _whole(await repository.to_versions(tx, await tx.execute(statement.order_by(memories.c.version), values)))


async def read_by_id(tx: Transaction, ids: Iterable[UUID]) -> list[StoredMemory]:
    """Read those of these memories that are there, whole, in the order of their places."""
    statement = select(*repository.RECORD_COLUMNS).where(tx.own(memories), is_one_of(memories.c.memory_id, ids))
    return _whole(await repository.to_versions(tx, await tx.execute(statement.order_by(memories.c.version))))


def _whole(every: Iterable[StoredVersion]) -> list[StoredMemory]:
    versions: dict[UUID, list[StoredVersion]] = defaultdict(list)
    for stored in every:
        versions[stored.record.id].append(stored)
    return sorted((_stored(found) for found in versions.values()), key=lambda memory: memory.place)


def _placed(tx: Transaction, exported: ExportedMemory, places: Sequence[Place]) -> list[StoredVersion]:
    """Make the versions of a memory as they are stored, each at the place of its text."""
    records = list(rising(_admitted(tx, version.memory) for version in exported.versions))
    at = [place for text, place in zip(texts_of(records), places, strict=True) for _ in text]
    keeps = Permission.MEMORY_MAINTAIN in tx.caller.permissions
    return [
        StoredVersion(
            record=record,
            place=place,
            change=version.change,
            changed_by=version.changed_by if keeps else tx.caller.principal_id,
        )
        for record, place, version in zip(records, at, exported.versions, strict=True)
    ]


async def _unknown(tx: Transaction, ids: Sequence[UUID]) -> set[UUID]:
    rows = await tx.execute(select(memories.c.memory_id).where(tx.own(memories), memories.c.memory_id.in_(ids)))
    return set(ids) - {row.memory_id for row in rows}


def _stored(versions: list[StoredVersion]) -> StoredMemory:
    return StoredMemory(
        place=versions[-1].place,
        exported=ExportedMemory(
            thread=versions[-1].place >> POSITION_BITS,
            versions=[
                ExportedVersion(change=version.change, changed_by=version.changed_by, memory=version.record)
                for version in versions
            ],
        ),
    )


def _admitted(tx: Transaction, record: MemoryRecord) -> MemoryRecord:
    if Permission.MEMORY_MAINTAIN in tx.caller.permissions:
        return record
    authority = lowest_authority([record.authority, Origin.IMPORT])
    return record.model_copy(update={"origin": Origin.IMPORT, "authority": authority})
