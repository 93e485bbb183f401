"""All SQL about versions of memories; content is sealed on the way in and opened on the way out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Interval,
    LargeBinary,
    Row,
    Select,
    and_,
    bindparam,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.sql import ColumnElement

from agentmem.errors import InvalidCursor, NotFound, VersionConflict
from agentmem.features.memories.model import INSTANT, StoredVersion
from agentmem.features.memories.quota import Used, check_quota, usage_rows
from agentmem.features.memories.sensitive import metadata_columns, open_metadata
from agentmem.features.memories.tables import index_entries, memories
from agentmem.features.memories.visibility import SHAPES, Shape, View, in_scope, scope_values, visible
from agentmem.foundation.database.bulk import Rows, as_arrays, insert_arrays, write_together
from agentmem.foundation.database.holding import hold_subjects
from agentmem.foundation.database.sensitive import sensitive_keys
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import MemoryId, Place
from agentmem.kit.paging import CursorValue
from agentmem.schemas.classification import Classification
from agentmem.schemas.memories import Kind, MemoryRecord, Order, Origin, Role, Scope, Stats

RecordRow = Row[Any]  # SQLAlchemy types a row by its statement; the mapper below checks it by use
INSERT_MEMORIES = insert_arrays(memories)
LOCKS = select(func.pg_advisory_xact_lock(func.unnest(bindparam("locks", type_=ARRAY(BigInteger)))))
_INT63 = 2**63 - 1
KINDS = {item.value: item for item in Kind}
ROLES = {item.value: item for item in Role}
ORIGINS = {item.value: item for item in Origin}
CLASSES = {item.value: item for item in Classification}
_APART = frozenset({"content_digest", "known_until", "blind_index"})
RECORD_COLUMNS = tuple(column for column in memories.c if column.name not in _APART)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sort:
    """A total order of memories: a time column, then the id."""

    column: ColumnElement[datetime]
    descending: bool


SORTS = {
    Order.NEWEST: Sort(column=memories.c.created_at, descending=True),
    Order.OLDEST: Sort(column=memories.c.created_at, descending=False),
    Order.LATEST_OCCURRED: Sort(column=memories.c.occurred_at, descending=True),
    Order.EARLIEST_OCCURRED: Sort(column=memories.c.occurred_at, descending=False),
}


async def unlock(tx: Transaction, rows: Iterable[RecordRow]) -> list[RecordRow]:
    """Give rows whose sealed columns :func:`to_record` can open: the keys of their subjects are at hand."""
    found = list(rows)
    await tx.ring.unlock(blob for row in found for blob in (row.content, row.sealed_metadata))
    return found


async def to_versions(tx: Transaction, rows: Iterable[RecordRow]) -> list[StoredVersion]:
    """Open the sealed columns of rows and give them as values."""
    return [to_version(tx, row) for row in await unlock(tx, rows)]


def to_version(tx: Transaction, row: RecordRow) -> StoredVersion:
    """Give a row that is unlocked as a value."""
    return StoredVersion(
        record=to_record(tx, row), place=Place(row.place), change=row.change, changed_by=row.changed_by
    )


def to_record(tx: Transaction, row: RecordRow) -> MemoryRecord:
    """Open the sealed columns of a row that is unlocked, and give it as a view."""
    open_content, open_actor = tx.ring.opener("memories", "content"), tx.ring.opener("memories", "actor")
    memory_id, version = row.memory_id, row.version
    return MemoryRecord.model_construct(
        id=memory_id,
        content=open_content(memory_id, version, row.content).decode(),
        user_id=row.user_id,
        agent_id=row.agent_id,
        run_id=row.run_id,
        app_id=row.app_id,
        kind=KINDS[row.kind],
        role=None if row.role is None else ROLES[row.role],
        actor=None if row.actor is None else open_actor(memory_id, version, row.actor).decode(),
        origin=ORIGINS[row.origin],
        authority=ORIGINS[row.authority],
        classification=CLASSES[row.classification],
        metadata=open_metadata(tx, memory_id, version, row.metadata, row.sealed_metadata),
        importance=row.importance,
        pinned=row.pinned,
        occurred_at=row.occurred_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
        superseded_at=row.superseded_at,
        superseded_by=row.superseded_by,
        expires_at=row.expires_at,
        deleted_at=row.deleted_at,
        version=version,
    )


async def insert_versions(tx: Transaction, versions: Sequence[StoredVersion], *, live: int = 0) -> None:
    """Write versions; the caller has closed the ones they follow. ``live`` is as for :func:`version_rows`."""
    if versions:
        await write_together(tx, await version_rows(tx, versions, live=live))


async def version_rows(tx: Transaction, versions: Sequence[StoredVersion], *, live: int) -> list[Rows]:
    """Seal versions as rows, and count them: ``live`` is by how many there are more memories that are not deleted.

    Raises :class:`~agentmem.errors.QuotaExceeded` when they would pass a limit of the organization. Of several versions
    of one memory, given oldest first, each is known until the next one was.
    """
    known_until = {
        (earlier.record.id, earlier.record.version): later.record.updated_at
        for earlier, later in pairwise(versions)
        if earlier.record.id == later.record.id
    }
    await hold_subjects(tx, {stored.record.user_id for stored in versions}, writing=True)
    keys, rows = await sensitive_keys(tx), []
    for stored in versions:
        record = stored.record
        seal_content = tx.ring.sealer("memories", "content", record.user_id)
        seal_actor = tx.ring.sealer("memories", "actor", record.user_id)
        row = record.model_dump(exclude={"id", "content", "actor"})
        row |= {
            "memory_id": record.id,
            "place": stored.place,
            "change": stored.change,
            "changed_by": stored.changed_by,
            "content": seal_content(record.id, record.version, record.content.encode()),
            "actor": None if record.actor is None else seal_actor(record.id, record.version, record.actor.encode()),
            "content_digest": content_digest(tx, record),
            "known_until": known_until.get((record.id, record.version)),
            **metadata_columns(tx, record, keys),
        }
        rows.append(row)
    used = Used(memories=live, versions=len(rows), content_bytes=sum(len(row["content"]) for row in rows))
    await check_quota(tx, used)
    return [Rows(statement=INSERT_MEMORIES, values=as_arrays(memories, rows)), usage_rows(used)]


def content_digest(tx: Transaction, record: MemoryRecord) -> bytes:
    """Digest what makes two memories duplicates: content, scope, role and speaker."""
    scope = (record.user_id, record.agent_id, record.run_id, record.app_id, record.role, record.actor)
    return tx.keys.index.content_digest(scope, record.content)


async def find_by_digest(tx: Transaction, digests: Sequence[bytes]) -> dict[bytes, StoredVersion]:
    """Find visible memories by the digests of their content: for each the oldest of those of the highest class.

    Holds a lock on each digest until the transaction ends, so that two parallel adds of one text see each other.
    """
    locks = sorted({int.from_bytes(digest[:8], signed=True) for digest in digests})
    await tx.run(LOCKS, {"locks": locks})
    view = View()
    rows = await tx.run(_twins(view.shape(tx)), {**view.values(tx), "digests": list(digests)})
    found: dict[bytes, StoredVersion] = {}
    for row in await unlock(tx, rows):
        version, known = to_version(tx, row), found.get(row.content_digest)
        if known is None or version.record.classification.rank >= known.record.classification.rank:
            found[row.content_digest] = version
    return found


@lru_cache(SHAPES)
def _twins(shape: Shape) -> Select[Any]:
    return (
        select(*RECORD_COLUMNS, memories.c.content_digest)
        .where(visible(shape), memories.c.content_digest == func.any(bindparam("digests", type_=ARRAY(LargeBinary))))
        .order_by(memories.c.created_at.desc(), memories.c.memory_id.desc())
    )


async def fetch_current(tx: Transaction, memory_ids: Sequence[MemoryId], *, lock: bool = False) -> list[StoredVersion]:
    """Read the current versions of these memories, deleted ones too, in the order given.

    With ``lock``, nobody else changes them until the transaction ends. Raises :class:`NotFound` for the first that
    does not exist.
    """
    if lock:
        # Not the rows: a row that another transaction has just ended would be waited for, and its successor not seen.
        await lock_ids(tx, memory_ids)
    statement = select(*RECORD_COLUMNS).where(
        tx.own(memories), memories.c.memory_id.in_(memory_ids), memories.c.known_until.is_(None)
    )
    found = {stored.record.id: stored for stored in await to_versions(tx, await tx.execute(statement))}
    for memory_id in memory_ids:
        if memory_id not in found:
            raise not_found(memory_id)
    return [found[memory_id] for memory_id in memory_ids]


async def fetch_classes(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, Classification]:
    """Read the classes of those of the memories that are there."""
    statement = select(memories.c.memory_id, memories.c.classification).where(
        tx.own(memories), memories.c.memory_id.in_(ids), memories.c.known_until.is_(None)
    )
    return {memory_id: CLASSES[classification] for memory_id, classification in await tx.execute(statement)}


async def lock_ids(tx: Transaction, memory_ids: Iterable[UUID]) -> None:
    """Keep others from making or changing memories with these ids until the transaction ends."""
    await tx.run(LOCKS, {"locks": sorted(memory_id.int & _INT63 for memory_id in memory_ids)})


def not_found(memory_id: UUID) -> NotFound:
    """Make the one error for a memory that is absent, deleted, or somebody else's."""
    return NotFound(f"There is no memory {memory_id}.", hint="It may have been deleted: see its history.")


async def close_versions(tx: Transaction, memory_ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """End the current versions of these memories, and give the moment of each, which is when its successor begins.

    That is now, or just after the version began if a clock that ran ahead wrote it. Raises :class:`VersionConflict`
    when one has been ended meanwhile by a deletion of its scope.
    """
    ended = await tx.execute(
        update(memories)
        .where(tx.own(memories), memories.c.memory_id.in_(memory_ids), memories.c.known_until.is_(None))
        .values(known_until=func.greatest(tx.now, memories.c.updated_at + literal(INSTANT, Interval)))
        .returning(memories.c.memory_id, memories.c.known_until)
    )
    moments = {row.memory_id: row.known_until for row in ended}
    if len(moments) != len(memory_ids):
        raise VersionConflict("The memory was changed by somebody else at the same time.", hint="Read it and retry.")
    return moments


async def fetch_visible(tx: Transaction, memory_id: MemoryId, view: View) -> StoredVersion:
    """Read the version of a memory that a view sees, or raise :class:`NotFound`."""
    statement = select(*RECORD_COLUMNS).where(
        visible(view.shape(tx)), view.filtered(), memories.c.memory_id == memory_id
    )
    row = (await tx.execute(statement, view.values(tx))).first()
    if row is None:
        raise not_found(memory_id)
    return (await to_versions(tx, [row]))[0]


async def fetch_history(tx: Transaction, memory_id: MemoryId) -> list[StoredVersion]:
    """Read every version of a memory, oldest first, or raise :class:`NotFound`."""
    statement = select(*RECORD_COLUMNS).where(tx.own(memories), memories.c.memory_id == memory_id)
    rows = await tx.execute(statement.order_by(memories.c.version))
    versions = await to_versions(tx, rows)
    if not versions:
        raise not_found(memory_id)
    return versions


async def fetch_page(
    tx: Transaction, view: View, order: Order, after: Sequence[CursorValue] | None, limit: int
) -> list[StoredVersion]:
    """Read up to ``limit`` memories in order, after the sort values of the last one seen."""
    seen = select(*RECORD_COLUMNS).where(visible(view.shape(tx)), view.filtered())
    statement = _ordered(seen, SORTS[order], after).limit(limit)
    return await to_versions(tx, await tx.execute(statement, view.values(tx)))


def sort_values(record: MemoryRecord, order: Order) -> list[CursorValue]:
    """Give what a cursor keeps of the last memory of a page."""
    moment = record.created_at if order in {Order.NEWEST, Order.OLDEST} else record.occurred_at
    return [moment.isoformat(), str(record.id)]


def _ordered(statement: Select[Any], sort: Sort, after: Sequence[CursorValue] | None) -> Select[Any]:
    identity = memories.c.memory_id
    if after is not None:
        moment, last = _cursor_position(after)
        beyond = sort.column < moment if sort.descending else sort.column > moment
        further = identity < last if sort.descending else identity > last
        statement = statement.where(or_(beyond, and_(sort.column == moment, further)))
    if sort.descending:
        return statement.order_by(sort.column.desc(), identity.desc())
    return statement.order_by(sort.column, identity)


def _cursor_position(after: Sequence[CursorValue]) -> tuple[datetime, UUID]:
    try:
        return datetime.fromisoformat(str(after[0])), UUID(str(after[1]))
    except ValueError:
        raise InvalidCursor("The cursor is damaged.", hint="Start again without a cursor.") from None


async def fetch_live(tx: Transaction, scope: Scope, limit: int) -> list[StoredVersion]:
    """Read and lock up to ``limit`` memories of a scope that are not deleted, expired and superseded ones too.

    One that somebody changes at this moment may be left out; the next call finds it.
    """
    live = and_(memories.c.known_until.is_(None), memories.c.deleted_at.is_(None))
    values = scope_values(scope)
    statement = select(*RECORD_COLUMNS).where(tx.own(memories), in_scope(tuple(values)), live)
    rows = await tx.execute(statement.order_by(memories.c.memory_id).limit(limit).with_for_update(), values)
    return await to_versions(tx, rows)


async def count(tx: Transaction, scope: Scope) -> Stats:
    """Count a scope's memories."""
    current = memories.c.known_until.is_(None)
    live = and_(current, memories.c.deleted_at.is_(None))
    values = scope_values(scope)
    scoped = in_scope(tuple(values))
    pending = (
        select(func.count())
        .select_from(index_entries.join(memories, _same_place()))
        .where(tx.own(index_entries), tx.own(memories), live, index_entries.c.model == "", scoped)
        .scalar_subquery()
    )
    statement = select(
        func.count().filter(live).label("memories"),
        func.count().filter(and_(current, memories.c.deleted_at.is_not(None))).label("deleted"),
        func.count().filter(and_(live, memories.c.pinned)).label("pinned"),
        func.count().label("versions"),
        func.count(memories.c.user_id.distinct()).filter(live).label("users"),
        func.count(memories.c.agent_id.distinct()).filter(live).label("agents"),
        func.count(memories.c.run_id.distinct()).filter(live).label("runs"),
        func.min(memories.c.occurred_at).filter(live).label("earliest"),
        func.max(memories.c.occurred_at).filter(live).label("latest"),
        pending.label("pending_vectors"),
    ).where(tx.own(memories), scoped)
    totals = (await tx.execute(statement, values)).one()._mapping
    by_kind = select(memories.c.kind, func.count()).where(tx.own(memories), live, scoped).group_by(memories.c.kind)
    kinds = {str(kind): int(number) for kind, number in (await tx.execute(by_kind, values)).all()}
    return Stats.model_validate({**totals, "kinds": kinds})


def _same_place() -> ColumnElement[bool]:
    return and_(
        memories.c.organization_id == index_entries.c.organization_id, memories.c.place == index_entries.c.place
    )
