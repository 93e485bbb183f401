"""Changing memories: a version is added, and what it says is indexed where it stands among its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from agentmem.errors import InvalidInput
from agentmem.features.memories import repository
from agentmem.features.memories.index_writing import draw_lone_places, set_live, write_index
from agentmem.features.memories.model import PreparedMemory, StoredVersion, is_alone
from agentmem.features.memories.rewriting import move_texts
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import Place
from agentmem.schemas.memories import MemoryPatch, MemoryRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """A change to a memory that is locked; ``prepared`` carries the index of new content."""

    current: StoredVersion
    patch: MemoryPatch
    prepared: PreparedMemory | None


async def succeed_with(tx: Transaction, revisions: Sequence[Revision]) -> list[MemoryRecord]:
    """Add a version to each memory with its patch applied; all are written in one statement."""
    ids = [revision.current.record.id for revision in revisions]
    moments = await repository.close_versions(tx, ids)
    places = await _make_room(tx, [revision.current for revision in revisions if revision.prepared is not None])
    versions: list[StoredVersion] = []
    written: list[tuple[StoredVersion, PreparedMemory]] = []
    for revision in revisions:
        current, prepared = revision.current, revision.prepared
        place = places.get(current.place, current.place)
        version = _revised(tx, revision, place, moments[current.record.id])
        versions.append(version)
        if prepared is not None:
            written.append((version, prepared))
    if written:
        await write_index(tx, written, await repository.version_rows(tx, versions, live=0))
    else:
        await repository.insert_versions(tx, versions)
    tx.touch(ids)
    return [version.record for version in versions]


async def _make_room(tx: Transaction, left: Sequence[StoredVersion]) -> dict[Place, Place]:
    """Say for the place of each content where the one that follows it goes.

    A turn stays among its neighbours, and what it said before moves to a place of its own; what is alone stays there,
    and the new content gets such a place.
    """
    if not left:
        return {}
    drawn = dict(zip((version.place for version in left), await draw_lone_places(tx, len(left)), strict=True))
    moves = {old: lone for old, lone in drawn.items() if not is_alone(old)}
    if moves:
        await move_texts(tx, moves)
    await set_live(tx, [moves.get(old, old) for old in drawn], live=False)
    return {old: old if old in moves else lone for old, lone in drawn.items()}


def _revised(tx: Transaction, revision: Revision, place: Place, moment: datetime) -> StoredVersion:
    record = revision.current.record
    changes = revision.patch.model_dump(exclude_unset=True)
    successor = record.model_copy(update={**changes, "version": record.version + 1, "updated_at": moment})
    return StoredVersion(
        record=successor, place=place, change=_name_of(changes, record), changed_by=tx.caller.principal_id
    )


def _name_of(changes: dict[str, object], record: MemoryRecord) -> str:
    if not changes:
        raise InvalidInput("An update changes nothing: no field is given.", hint="Name at least one field.")
    if set(changes) == {"pinned"} and changes["pinned"] != record.pinned:
        return "pinned" if changes["pinned"] else "unpinned"
    return "updated"
