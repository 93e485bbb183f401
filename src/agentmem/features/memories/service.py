"""Operations on memories: every way to change or read them goes through these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agentmem.errors import Conflict, InvalidInput, VersionConflict
from agentmem.features.memories import repository
from agentmem.features.memories.index_writing import allocate_places, set_live, write_index
from agentmem.features.memories.model import (
    PreparedMemory,
    StoredVersion,
    lowest_authority,
)
from agentmem.features.memories.visibility import View
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.ledger.idempotency import claim
from agentmem.kit.ids import MemoryId, Place
from agentmem.kit.paging import decode_cursor, encode_cursor, query_fingerprint
from agentmem.operations import operation
from agentmem.schemas.memories import (
    Added,
    Change,
    MemoryPatch,
    MemoryRecord,
    OnDuplicate,
    Order,
    Origin,
    Page,
    Scope,
    Stats,
)

DELETE_BATCH: Final = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class IdempotentRequest:
    """A caller's key for a request, and the digest that says whether it is the same request again."""

    key: str
    digest: bytes


@dataclass(frozen=True, kw_only=True)
class MemoryService:
    """Operations on the memories of the caller's organization."""

    database: Database

    @operation(Permission.MEMORY_WRITE, audit="memory.added")
    async def add(
        self, tx: Transaction, prepared: Sequence[PreparedMemory], request: IdempotentRequest | None = None
    ) -> Added:
        """Store memories, all or none; known duplicates and repeated requests give what is there already."""
        twins, repeats = await _find_twins(tx, prepared)
        new = [memory for n, memory in enumerate(prepared) if n not in twins and n not in repeats]
        ids = [
            twins[n].record.id if n in twins else prepared[repeats.get(n, n)].memory_id for n in range(len(prepared))
        ]
        if request is not None:
            earlier = await claim(
                tx, operation="memory.added", key=request.key, request_digest=request.digest, result=list(ids)
            )
            if earlier is not None:
                stored = await repository.fetch_current(tx, [MemoryId(item) for item in earlier])
                return Added(memories=[version.record for version in stored], duplicates=list(earlier))
        written = await self._write_new(tx, new)
        by_id = {version.record.id: version.record for version in (*twins.values(), *written)}
        tx.touch(version.record.id for version in written)
        return Added(
            memories=[by_id[item] for item in ids],
            duplicates=[ids[n] for n in sorted({*twins, *repeats})],
            pending=any(memory.vector is None for memory in new),
        )

    async def _write_new(self, tx: Transaction, new: Sequence[PreparedMemory]) -> list[StoredVersion]:
        if not new:
            return []
        places = await allocate_places(tx, new)
        versions = [_first_version(tx, memory, place) for memory, place in zip(new, places, strict=True)]
        await write_index(tx, list(zip(versions, new, strict=True)), repository.version_rows(tx, versions))
        return versions

    @operation(Permission.MEMORY_READ, read_only=True)
    async def get(self, tx: Transaction, memory_id: MemoryId, view: View) -> MemoryRecord:
        """Read one memory as the view sees it."""
        return (await repository.fetch_visible(tx, memory_id, view)).record

    @operation(Permission.MEMORY_READ, read_only=True)
    async def page(
        self, tx: Transaction, view: View, order: Order, cursor: str | None, limit: int
    ) -> Page[MemoryRecord]:
        """Read a page of memories in order; raises :class:`InvalidCursor`."""
        fingerprint = query_fingerprint(f"{view!r} {order.value}")
        after = None if cursor is None else decode_cursor(cursor, fingerprint, 2)
        found = [version.record for version in await repository.fetch_page(tx, view, order, after, limit + 1)]
        items = found[:limit]
        last = None
        if len(found) > limit:
            last = encode_cursor(fingerprint, repository.sort_values(items[-1], order))
        return Page(items=items, next_cursor=last)

    @operation(Permission.MEMORY_READ, read_only=True)
    async def history(self, tx: Transaction, memory_id: MemoryId) -> list[Change]:
        """Read every version of a memory with what changed it, oldest first."""
        return [
            Change(
                version=version.record.version,
                change=version.change,
                changed_by=version.changed_by,
                changed_at=version.record.updated_at,
                memory=version.record,
            )
            for version in await repository.fetch_history(tx, memory_id)
        ]

    @operation(Permission.MEMORY_READ, read_only=True)
    async def stats(self, tx: Transaction, scope: Scope) -> Stats:
        """Count the memories of a scope."""
        return await repository.count(tx, scope)

    @operation(Permission.MEMORY_WRITE, audit="memory.updated")
    async def update(
        self,
        tx: Transaction,
        memory_id: MemoryId,
        patch: MemoryPatch,
        if_version: int | None = None,
        prepared: PreparedMemory | None = None,
    ) -> MemoryRecord:
        """Add a version with the patch applied; ``prepared`` carries the index of new content.

        Raises :class:`VersionConflict` unless the memory is at ``if_version``.
        """
        (current,) = await repository.fetch_current(tx, [memory_id], lock=True)
        record = _require_live(current.record)
        if if_version is not None and record.version != if_version:
            raise VersionConflict(
                f"Memory {memory_id} is at version {record.version}, not {if_version}.", hint="Read it again and retry."
            )
        changes = patch.model_dump(exclude_unset=True)
        successor = record.model_copy(update={**changes, "version": record.version + 1, "updated_at": tx.now})
        change = _name_of(changes, record)
        await repository.close_versions(tx, [memory_id])
        place = current.place if prepared is None else (await allocate_places(tx, [prepared]))[0]
        version = StoredVersion(record=successor, place=place, change=change, changed_by=tx.caller.principal_id)
        if prepared is None:
            await repository.insert_versions(tx, [version])
        else:
            await set_live(tx, [current.place], live=False)
            await write_index(tx, [(version, prepared)], repository.version_rows(tx, [version]))
        tx.touch([memory_id])
        return successor

    @operation(Permission.MEMORY_DELETE, audit="memory.deleted")
    async def delete(self, tx: Transaction, memory_id: MemoryId) -> None:
        """Delete one memory; it can be restored until it is purged."""
        (current,) = await repository.fetch_current(tx, [memory_id], lock=True)
        _require_live(current.record)
        await _end(tx, [current])

    @operation(Permission.MEMORY_DELETE, audit="memory.deleted")
    async def delete_some(self, tx: Transaction, scope: Scope) -> int:
        """Delete up to ``DELETE_BATCH`` memories of a scope, and say how many."""
        found = await repository.fetch_live(tx, scope, DELETE_BATCH)
        if found:
            await _end(tx, found)
        return len(found)

    @operation(Permission.MEMORY_WRITE, audit="memory.restored")
    async def restore(self, tx: Transaction, memory_id: MemoryId) -> MemoryRecord:
        """Bring a deleted memory back as a new version."""
        (current,) = await repository.fetch_current(tx, [memory_id], lock=True)
        if _is_live(current.record):
            raise Conflict(f"Memory {memory_id} is not deleted.")
        (restored,) = await _succeed(tx, [current], "restored", {"deleted_at": None})
        await set_live(tx, [current.place], live=True)
        return restored


async def _find_twins(
    tx: Transaction, prepared: Sequence[PreparedMemory]
) -> tuple[dict[int, StoredVersion], dict[int, int]]:
    """Find what must not be stored again: numbers of memories that the store holds, and that repeat an earlier one."""
    checked = [n for n, memory in enumerate(prepared) if memory.on_duplicate is OnDuplicate.RETURN]
    if not checked:
        return {}, {}
    digests = {n: repository.content_digest(tx, _record(tx, prepared[n])) for n in checked}
    known = await repository.find_by_digest(tx, sorted(set(digests.values())))
    first: dict[bytes, int] = {}
    repeats = {n: first[digest] for n, digest in digests.items() if first.setdefault(digest, n) != n}
    twins = {n: known[digest] for n, digest in digests.items() if digest in known}
    return twins, {n: earlier for n, earlier in repeats.items() if n not in twins}


def _record(tx: Transaction, memory: PreparedMemory) -> MemoryRecord:
    new = memory.new
    origin = Origin.AGENT if new.role == "assistant" else Origin.TOOL if new.role == "tool" else tx.caller.origin
    return MemoryRecord.model_construct(
        **new.model_dump(exclude={"occurred_at"}),
        id=memory.memory_id,
        origin=origin,
        authority=lowest_authority([origin, tx.caller.origin]),
        occurred_at=new.occurred_at or tx.now,
        created_at=tx.now,
        updated_at=tx.now,
        superseded_at=None,
        superseded_by=None,
        deleted_at=None,
        version=1,
    )


def _first_version(tx: Transaction, memory: PreparedMemory, place: Place) -> StoredVersion:
    return StoredVersion(record=_record(tx, memory), place=place, change="added", changed_by=tx.caller.principal_id)


def _is_live(record: MemoryRecord) -> bool:
    return record.deleted_at is None


def _require_live(record: MemoryRecord) -> MemoryRecord:
    if not _is_live(record):
        raise repository.not_found(record.id)
    return record


def _name_of(changes: dict[str, object], record: MemoryRecord) -> str:
    if not changes:
        raise InvalidInput("An update changes nothing: no field is given.", hint="Name at least one field.")
    if set(changes) == {"pinned"} and changes["pinned"] != record.pinned:
        return "pinned" if changes["pinned"] else "unpinned"
    return "updated"


async def _end(tx: Transaction, versions: Sequence[StoredVersion]) -> None:
    await _succeed(tx, versions, "deleted", {"deleted_at": tx.now})
    await set_live(tx, [version.place for version in versions], live=False)


async def _succeed(
    tx: Transaction, versions: Sequence[StoredVersion], change: str, values: dict[str, object]
) -> list[MemoryRecord]:
    """Add a version to each memory that differs from the present one by these values."""
    successors = [
        StoredVersion(
            record=version.record.model_copy(
                update={**values, "version": version.record.version + 1, "updated_at": tx.now}
            ),
            place=version.place,
            change=change,
            changed_by=tx.caller.principal_id,
        )
        for version in versions
    ]
    ids = [version.record.id for version in versions]
    await repository.close_versions(tx, ids)
    await repository.insert_versions(tx, successors)
    tx.touch(ids)
    return [version.record for version in successors]
