"""Operations on memories: every way to change or read them goes through these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Final
from uuid import UUID

from agentmem.errors import Conflict, VersionConflict
from agentmem.features.memories import repository
from agentmem.features.memories.binding import admit_new, bound_scope, bound_view, request_key, require_reach
from agentmem.features.memories.index_writing import PENDING, allocate_places, set_live, write_index
from agentmem.features.memories.model import (
    PreparedMemory,
    StoredVersion,
    lowest_authority,
    origin_of,
    require_standing,
)
from agentmem.features.memories.provenance import check_caps, provenance_rows
from agentmem.features.memories.sensitive import blinded
from agentmem.features.memories.visibility import View
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.ledger.idempotency import KEPT, claim
from agentmem.kit.ids import MemoryId
from agentmem.kit.paging import decode_cursor, encode_cursor, query_fingerprint
from agentmem.operations import operation
from agentmem.schemas.classification import Classification, highest
from agentmem.schemas.memories import (
    Added,
    Change,
    MemoryRecord,
    OnDuplicate,
    Order,
    Origin,
    Page,
    Scope,
    Stats,
)
from agentmem.schemas.requests import IdAtVersion

DELETE_BATCH: Final = 1000
NO_CAPS: Final[Mapping[Origin, int]] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, slots=True)
class IdempotentRequest:
    """A caller's key for a request, and the digest that says whether it is the same request again."""

    key: str
    digest: bytes


@dataclass(frozen=True, kw_only=True)
class MemoryService:
    """Operations on the memories of the caller's organization; an add's idempotency key is ``kept`` so long."""

    database: Database
    kept: timedelta = KEPT

    @operation(Permission.MEMORY_WRITE, audit="memory.added")
    async def add(
        self,
        tx: Transaction,
        prepared: Sequence[PreparedMemory],
        request: IdempotentRequest | None = None,
        caps: Mapping[Origin, int] = NO_CAPS,
    ) -> Added:
        """Store memories, all or none; known duplicates and repeated requests give what is there already.

        ``caps`` is how many of an origin the caller may add in an hour.
        """
        if not tx.caller.binding.is_empty:
            prepared = [replace(memory, new=admit_new(tx.caller, memory.new)) for memory in prepared]
        twins, repeats = await _find_twins(tx, prepared)
        new = [memory for n, memory in enumerate(prepared) if n not in twins and n not in repeats]
        ids = [
            twins[n].record.id if n in twins else prepared[repeats.get(n, n)].memory_id for n in range(len(prepared))
        ]
        if request is not None:
            key = request_key(tx.caller, request.key)
            earlier = await claim(
                tx,
                operation="memory.added",
                key=key,
                request_digest=request.digest,
                result=list(ids),
                kept=self.kept,
            )
            if earlier is not None:
                stored = await repository.fetch_current(tx, [MemoryId(item) for item in earlier])
                require_reach(tx.caller, [version.record for version in stored])
                return Added(memories=[version.record for version in stored], duplicates=list(earlier))
        written = await self._write_new(tx, new, caps)
        by_id = {version.record.id: version.record for version in (*twins.values(), *written)}
        tx.touch(version.record.id for version in written)
        return Added(
            memories=[by_id[item] for item in ids],
            duplicates=[ids[n] for n in sorted({*twins, *repeats})],
            pending=any(memory.model == PENDING for memory in new),
        )

    async def _write_new(
        self, tx: Transaction, new: Sequence[PreparedMemory], caps: Mapping[Origin, int]
    ) -> list[StoredVersion]:
        if not new:
            return []
        known = await _parents(tx, new)
        records = [_derived(_record(tx, memory), memory, known) for memory in new]
        for record in records:
            require_standing(tx.caller, record)
        await check_caps(tx, Counter(record.origin for record in records), caps)
        places = await allocate_places(tx, new)
        versions = [
            StoredVersion(record=record, place=place, change="added", changed_by=tx.caller.principal_id)
            for record, place in zip(records, places, strict=True)
        ]
        written = list(zip(versions, new, strict=True))
        rows = await repository.version_rows(tx, versions, live=len(new))
        await write_index(tx, written, [*rows, *provenance_rows(tx, written)])
        return versions

    @operation(Permission.MEMORY_READ, read_only=True)
    async def get(self, tx: Transaction, memory_id: MemoryId, view: View) -> MemoryRecord:
        """Read one memory as the view sees it."""
        # Not by the narrowed view, which would say that a scope is out of reach: what is not reached is not there.
        record = (await repository.fetch_visible(tx, memory_id, await blinded(tx, view))).record
        require_reach(tx.caller, [record])
        return record

    @operation(Permission.MEMORY_READ, read_only=True)
    async def page(
        self, tx: Transaction, view: View, order: Order, cursor: str | None, limit: int
    ) -> Page[MemoryRecord]:
        """Read a page of memories in order; raises :class:`InvalidCursor`."""
        view = bound_view(tx.caller, view)
        fingerprint = query_fingerprint(f"{view!r} {order.value}")
        after = None if cursor is None else decode_cursor(cursor, fingerprint, 2)
        seen = await blinded(tx, view)
        found = [version.record for version in await repository.fetch_page(tx, seen, order, after, limit + 1)]
        items = found[:limit]
        last = None
        if len(found) > limit:
            last = encode_cursor(fingerprint, repository.sort_values(items[-1], order))
        return Page(items=items, next_cursor=last)

    @operation(Permission.MEMORY_READ, read_only=True)
    async def history(self, tx: Transaction, memory_id: MemoryId) -> list[Change]:
        """Read every version of a memory with what changed it, oldest first."""
        versions = await repository.fetch_history(tx, memory_id)
        require_reach(tx.caller, [version.record for version in versions])
        return [
            Change(
                version=version.record.version,
                change=version.change,
                changed_by=version.changed_by,
                changed_at=version.record.updated_at,
                memory=version.record,
            )
            for version in versions
        ]

    @operation(Permission.MEMORY_WRITE, read_only=True)
    async def classes(self, tx: Transaction, ids: Sequence[UUID]) -> Mapping[UUID, Classification]:
        """Read how memories may be handled; one that is not there is left out."""
        return await repository.fetch_classes(tx, ids)

    @operation(Permission.MEMORY_READ, read_only=True)
    async def stats(self, tx: Transaction, scope: Scope) -> Stats:
        """Count the memories of a scope."""
        return await repository.count(tx, bound_scope(tx.caller, scope))

    @operation(Permission.MEMORY_DELETE, audit="memory.deleted")
    async def delete(self, tx: Transaction, memory_id: MemoryId, if_version: int | None = None) -> None:
        """Delete one memory; it can be restored until it is purged.

        Raises :class:`VersionConflict` unless the memory is at ``if_version``.
        """
        await end(tx, await fetch_to_change(tx, [IdAtVersion(id=memory_id, if_version=if_version)]))

    @operation(Permission.MEMORY_DELETE, audit="memory.deleted")
    async def delete_some(self, tx: Transaction, scope: Scope) -> int:
        """Delete up to ``DELETE_BATCH`` memories of a scope, and say how many."""
        found = await repository.fetch_live(tx, bound_scope(tx.caller, scope), DELETE_BATCH)
        if found:
            await end(tx, found)
        return len(found)

    @operation(Permission.MEMORY_WRITE, audit="memory.restored")
    async def restore(self, tx: Transaction, memory_id: MemoryId, if_version: int | None = None) -> MemoryRecord:
        """Bring a deleted memory back as a new version; ``if_version`` is as for :meth:`update`."""
        (current,) = await repository.fetch_current(tx, [memory_id], lock=True)
        require_reach(tx.caller, [current.record])
        _require_version(current.record, if_version)
        if _is_live(current.record):
            raise Conflict(f"Memory {memory_id} is not deleted.")
        (restored,) = await succeed(tx, [current], "restored", {"deleted_at": None})
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
    # What is to be guarded better than what is there is not there yet.
    ranks = {n: prepared[n].new.classification.rank for n in checked}
    first: dict[tuple[bytes, int], int] = {}
    repeats = {n: first[key] for n, digest in digests.items() if first.setdefault(key := (digest, ranks[n]), n) != n}
    twins = {
        n: known[digest]
        for n, digest in digests.items()
        if digest in known and known[digest].record.classification.rank >= ranks[n]
    }
    return twins, {n: earlier for n, earlier in repeats.items() if n not in twins}


def _record(tx: Transaction, memory: PreparedMemory) -> MemoryRecord:
    new = memory.new
    origin = origin_of(tx.caller, new)
    return MemoryRecord.model_construct(
        **new.model_dump(exclude={"occurred_at", "source"}),
        id=memory.memory_id,
        origin=origin,
        authority=origin,
        occurred_at=new.occurred_at or tx.now,
        created_at=tx.now,
        updated_at=tx.now,
        superseded_at=None,
        superseded_by=None,
        deleted_at=None,
        version=1,
    )


async def _parents(tx: Transaction, new: Sequence[PreparedMemory]) -> Mapping[UUID, MemoryRecord]:
    """Read the memories that others are made of; raises ``NotFound`` for one that is not there."""
    parents = {parent for memory in new if memory.new.source is not None for parent in memory.new.source.parents}
    found = await repository.fetch_current(tx, [MemoryId(parent) for parent in sorted(parents)]) if parents else []
    require_reach(tx.caller, [version.record for version in found])
    return {version.record.id: version.record for version in found}


def _derived(record: MemoryRecord, memory: PreparedMemory, known: Mapping[UUID, MemoryRecord]) -> MemoryRecord:
    """Trust what is made of other memories no further than the least trusted of them, and guard it like the best."""
    source = memory.new.source
    if source is None or not source.parents:
        return record
    made_of = [record, *(known[parent] for parent in source.parents)]
    told = {
        "authority": lowest_authority(each.authority for each in made_of),
        "classification": highest(each.classification for each in made_of),
    }
    return record.model_copy(update=told)


def _is_live(record: MemoryRecord) -> bool:
    return record.deleted_at is None


def _require_live(record: MemoryRecord) -> MemoryRecord:
    if not _is_live(record):
        raise repository.not_found(record.id)
    return record


async def fetch_to_change(tx: Transaction, wanted: Sequence[IdAtVersion], *, lock: bool = True) -> list[StoredVersion]:
    """Read live memories that the caller reaches, in the order given, and lock them until the transaction ends.

    Raises :class:`NotFound` for the first that is not there, and :class:`VersionConflict` for the first that is at
    another version than its ``if_version``.
    """
    found = await repository.fetch_current(tx, [MemoryId(item.id) for item in wanted], lock=lock)
    require_reach(tx.caller, [version.record for version in found])
    for version, item in zip(found, wanted, strict=True):
        _require_version(_require_live(version.record), item.if_version)
    return found


def _require_version(record: MemoryRecord, if_version: int | None) -> None:
    if if_version is not None and record.version != if_version:
        raise VersionConflict(
            f"Memory {record.id} is at version {record.version}, not {if_version}.", hint="Read it again and retry."
        )


async def end(tx: Transaction, versions: Sequence[StoredVersion]) -> None:
    """Delete memories that are locked."""
    await succeed(tx, versions, "deleted", {"deleted_at": tx.now})
    await set_live(tx, [version.place for version in versions], live=False)


async def succeed(
    tx: Transaction, versions: Sequence[StoredVersion], change: str, values: dict[str, object]
) -> list[MemoryRecord]:
    """Add a version to each memory that differs from the present one by these values."""
    ids = [version.record.id for version in versions]
    moments = await repository.close_versions(tx, ids)
    successors = []
    for version in versions:
        record = version.record
        changed = {**values, "version": record.version + 1, "updated_at": moments[record.id]}
        successors.append(
            replace(
                version,
                record=record.model_copy(update=changed),
                change=change,
                changed_by=tx.caller.principal_id,
            )
        )
    live = 0
    if "deleted_at" in values:
        live = len(ids) if values["deleted_at"] is None else -len(ids)
    await repository.insert_versions(tx, successors, live=live)
    tx.touch(ids)
    return [version.record for version in successors]
