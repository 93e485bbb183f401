"""Changing memories: a version is added, and what it says is indexed where it stands among its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agentmem.errors import InvalidInput
from agentmem.features.memories import repository
from agentmem.features.memories.index_writing import draw_lone_places, set_live, write_index
from agentmem.features.memories.model import PreparedMemory, StoredVersion, is_alone, lowest_authority, require_standing
from agentmem.features.memories.rewriting import move_texts
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import Place
from agentmem.schemas.memories import MemoryPatch, MemoryRecord

SAYING: Final = frozenset({"content", "kind", "metadata", "occurred_at"})
"""What a memory says: whoever changes it is trusted for it no further than they are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """A change to a memory that is locked; ``prepared`` carries the index of new content.

    ``back_to`` is an earlier version that it becomes again, in place of a patch.
    """

    current: StoredVersion
    patch: MemoryPatch
    prepared: PreparedMemory | None
    back_to: MemoryRecord | None = None


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
    revived = [
        version.place
        for revision, version in zip(revisions, versions, strict=True)
        if revision.current.record.deleted_at is not None
    ]
    if written:
        await write_index(tx, written, await repository.version_rows(tx, versions, live=len(revived)))
    else:
        await repository.insert_versions(tx, versions, live=len(revived))
    if revived:
        await set_live(tx, revived, live=True)
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
    if revision.back_to is not None:
        then = {"version": record.version + 1, "updated_at": moment}
        return StoredVersion(
            record=revision.back_to.model_copy(update=then),
            place=place,
            change="rolled_back",
            changed_by=tx.caller.principal_id,
        )
    changes = revision.patch.model_dump(exclude_unset=True)
    told: dict[str, object] = {"version": record.version + 1, "updated_at": moment}
    if changes.keys() & SAYING:
        told["authority"] = lowest_authority([record.authority, tx.caller.origin])
    # Its class has been changed before, in all its versions.
    said = {name: value for name, value in changes.items() if name != "classification"}
    successor = record.model_copy(update={**said, **told})
    require_standing(tx.caller, successor)
    return StoredVersion(
        record=successor, place=place, change=_name_of(changes, record), changed_by=tx.caller.principal_id
    )


def _name_of(changes: dict[str, object], record: MemoryRecord) -> str:
    if not changes:
        raise InvalidInput("An update changes nothing: no field is given.", hint="Name at least one field.")
    if set(changes) == {"pinned"} and changes["pinned"] != record.pinned:
        return "pinned" if changes["pinned"] else "unpinned"
    return "updated"
