"""All SQL that writes what makes memories findable: places, sealed index entries, vectors, postings, statistics."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    Integer,
    bindparam,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.dialects.postgresql import insert as upsert

from agentmem.features.memories.index_entry import encode
from agentmem.features.memories.jobs import ALL, EMBED
from agentmem.features.memories.model import ALONE, FIRST_POSITION, PreparedMemory, StoredVersion, make_place
from agentmem.features.memories.tables import (
    index_entries,
    postings,
    scope_statistics,
    session_numbers,
    sessions,
    vectors,
)
from agentmem.foundation.database.bulk import Rows, as_arrays, insert_arrays, write_together
from agentmem.foundation.database.holding import hold_subjects
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.jobs.queue import enqueue
from agentmem.kit.ids import Place
from agentmem.schemas.memories import NewMemory

POSTING = np.dtype([("place", "<i8"), ("tf", "<u2"), ("length", "<u2")])
"""One posting as it is packed: the place of a memory, how often the term occurs in it, and how long it is."""

Block = tuple[int, str, NDArray[np.void]]
"""A row of postings: term, user, and the postings in the order of their places."""

BLOCK_POSTINGS = 512
"""Postings of one row at most: 6 KiB, so that a row stays in its page."""

STATISTICS_SHARDS = 8
NOBODY = ""
"""The ``user_id`` under which memories without one are indexed."""

PENDING = ""
"""The ``model`` of an entry whose embedder failed: the memory is found by its words, its vector is still to come."""

WORDS = "words"
"""The ``model`` of an entry that has no vector and awaits none: its text may not be sent to the model."""

SHORT = np.iinfo(np.uint16).max


DRAW_NUMBERS: Final = select(session_numbers.next_value()).select_from(
    func.generate_series(1, bindparam("count", type_=Integer))
)
INSERT_ENTRIES: Final = insert_arrays(index_entries).on_conflict_do_nothing()
INSERT_VECTORS: Final = insert_arrays(vectors).on_conflict_do_nothing()
INSERT_POSTINGS: Final = insert_arrays(postings)


def _add_statistics() -> Insert:
    statement = insert_arrays(scope_statistics)
    return statement.on_conflict_do_update(
        index_elements=["organization_id", "user_id", "shard"],
        set_={
            "documents": scope_statistics.c.documents + statement.excluded.documents,
            "length": scope_statistics.c.length + statement.excluded.length,
        },
    )


ADD_STATISTICS: Final = _add_statistics()


async def allocate_places(tx: Transaction, prepared: Sequence[PreparedMemory]) -> list[Place]:
    """Give every memory its place: turns of a run follow those stored before, other threads begin a session."""
    groups: dict[object, list[int]] = defaultdict(list)
    for number, memory in enumerate(prepared):
        groups[_session_key(memory)].append(number)
    # In one order for everybody, so that two writers of several runs cannot wait for each other.
    runs = sorted((key for key in groups if isinstance(key, tuple)), key=repr)
    threads = [key for key in groups if not isinstance(key, tuple)]
    first: dict[object, tuple[int, int]] = {}
    for run in runs:
        first[run] = await _extend_session(tx, prepared[groups[run][0]].new, len(groups[run]))
    for thread, number in zip(threads, await _draw_numbers(tx, len(threads)), strict=True):
        first[thread] = number, ALONE if len(groups[thread]) == 1 else FIRST_POSITION
    places: dict[int, Place] = {}
    for key, members in groups.items():
        session_no, position = first[key]
        for offset, number in enumerate(members):
            places[number] = make_place(session_no, position + offset)
    return [places[number] for number in range(len(prepared))]


async def draw_lone_places(tx: Transaction, count: int) -> list[Place]:
    """Give places that nothing is near to."""
    return [make_place(number, ALONE) for number in await _draw_numbers(tx, count)]


async def _draw_numbers(tx: Transaction, count: int) -> list[int]:
    return [number for (number,) in await tx.run(DRAW_NUMBERS, {"count": count})] if count else []


def _session_key(memory: PreparedMemory) -> object:
    new = memory.new
    return (new.user_id, new.agent_id, new.run_id, new.app_id) if new.run_id is not None else memory.thread


async def _extend_session(tx: Transaction, new: NewMemory, turns: int) -> tuple[int, int]:
    statement = upsert(sessions).values(
        organization_id=tx.organization_id,
        user_id=new.user_id,
        agent_id=new.agent_id,
        run_id=new.run_id,
        app_id=new.app_id,
        last_position=FIRST_POSITION - 1 + turns,
    )
    statement = statement.on_conflict_do_update(
        index_elements=["organization_id", "run_id", "user_id", "agent_id", "app_id"],
        set_={"last_position": sessions.c.last_position + turns},
    )
    row = (await tx.execute(statement.returning(sessions.c.session_no, sessions.c.last_position))).one()
    return row.session_no, row.last_position - turns + 1


async def write_index(
    tx: Transaction, written: Sequence[tuple[StoredVersion, PreparedMemory]], versions: Sequence[Rows]
) -> None:
    """Write versions and make the latest of each memory findable, all in one statement; what lacks vectors is a job.

    What may not be indexed is not.
    """
    hashes = TermHashes(tx)
    written = indexable(written)
    await hold_subjects(tx, {stored.record.user_id for stored, _ in written})
    parts = [*versions, *_entry_rows(tx, written, hashes), _posting_rows(_postings_of(written, hashes))]
    await write_together(tx, [*parts, _statistics_rows(_documents_of(written))])
    if any(memory.model == PENDING for _, memory in written):
        await enqueue(tx, EMBED, once=ALL)


def indexable(
    written: Sequence[tuple[StoredVersion, PreparedMemory]],
) -> list[tuple[StoredVersion, PreparedMemory]]:
    """Give what may be indexed."""
    return [item for item in written if item[0].record.classification.is_indexed]


class TermHashes:
    """The keyed hashes of the terms of one batch, each computed once."""

    def __init__(self, tx: Transaction) -> None:
        self._index = tx.keys.index
        self._known: dict[str, int] = {}

    def of(self, terms: Sequence[str]) -> list[int]:
        """Give the hashes of terms, in their order."""
        unknown = [term for term in terms if term not in self._known]
        self._known.update(zip(unknown, self._index.term_hashes(unknown), strict=True))
        return [self._known[term] for term in terms]


async def write_entries(
    tx: Transaction, written: Sequence[tuple[StoredVersion, PreparedMemory]], hashes: TermHashes
) -> None:
    """Write the sealed entry and the vector of each, under the model that made them."""
    written = indexable(written)
    await hold_subjects(tx, {stored.record.user_id for stored, _ in written})
    await write_together(tx, _entry_rows(tx, written, hashes))


def _entry_rows(
    tx: Transaction, written: Sequence[tuple[StoredVersion, PreparedMemory]], hashes: TermHashes
) -> list[Rows]:
    entries = []
    for stored, memory in written:
        record = stored.record
        seal = tx.ring.sealer("index_entries", "entry", record.user_id)
        entries.append(
            {
                "model": memory.model,
                "place": stored.place,
                "memory_id": record.id,
                "version": record.version,
                "user_id": record.user_id or NOBODY,
                "length": memory.entry.length,
                "speakers": hashes.of(memory.entry.speaker_terms),
                "entry": seal(record.id, record.version, encode(memory.entry)),
            }
        )
    embedded = [
        {
            "model": memory.model,
            "place": stored.place,
            "user_id": stored.record.user_id or NOBODY,
            "live": True,
            "graph": None,
            "embedding": vector_text(memory.vector),
        }
        for stored, memory in written
        if memory.vector is not None
    ]
    return [
        Rows(statement=INSERT_ENTRIES, values=as_arrays(index_entries, entries)),
        Rows(statement=INSERT_VECTORS, values=as_arrays(vectors, embedded)),
    ]


def vector_text(vector: NDArray[np.float32]) -> str:
    """Write a vector as pgvector reads it, with the digits that half precision keeps."""
    # One format for all values: a third of the time of one for each.
    return "[" + ",".join(["%.5g"] * len(vector)) % tuple(vector.tolist()) + "]"


def _postings_of(written: Sequence[tuple[StoredVersion, PreparedMemory]], hashes: TermHashes) -> list[Block]:
    rows: dict[tuple[int, str], list[tuple[int, int, int]]] = defaultdict(list)
    for stored, memory in written:
        user_id, length = stored.record.user_id or NOBODY, min(memory.entry.length, SHORT)
        terms = list(memory.entry.terms)
        for term, hashed in zip(terms, hashes.of(terms), strict=True):
            rows[hashed, user_id].append((stored.place, min(memory.entry.terms[term], SHORT), length))
    return [
        (term, user_id, block)
        for (term, user_id), found in sorted(rows.items())
        for block in pack_blocks(np.array(found, dtype=POSTING))
    ]


def pack_blocks(found: NDArray[np.void]) -> list[NDArray[np.void]]:
    """Sort postings by place and cut them into rows."""
    found = np.sort(found, order="place")
    return [found[start : start + BLOCK_POSTINGS] for start in range(0, len(found), BLOCK_POSTINGS)]


async def insert_blocks(tx: Transaction, blocks: Sequence[Block]) -> None:
    """Write rows of postings in one statement."""
    if blocks:
        await write_together(tx, [_posting_rows(blocks)])


def _posting_rows(blocks: Sequence[Block]) -> Rows:
    rows = [
        {"term": term, "user_id": user_id, "first_place": int(block["place"][0]), "packed": block.tobytes()}
        for term, user_id, block in blocks
    ]
    return Rows(statement=INSERT_POSTINGS, values=as_arrays(postings, rows))


def _documents_of(written: Sequence[tuple[StoredVersion, PreparedMemory]]) -> dict[str, tuple[int, int]]:
    documents: Counter[str] = Counter()
    lengths: Counter[str] = Counter()
    for stored, memory in written:
        documents[stored.record.user_id or NOBODY] += 1
        lengths[stored.record.user_id or NOBODY] += memory.entry.length
    return {user_id: (documents[user_id], lengths[user_id]) for user_id in documents}


async def change_statistics(tx: Transaction, changes: dict[str, tuple[int, int]], *others: Rows) -> None:
    """Add to the counts of documents and terms per user, and write other rows with them.

    Whoever changes these counts and those of the organization does it in one statement, as a writer of memories does:
    then all take the rows in one order, and no two wait for each other.
    """
    await write_together(tx, [*others, _statistics_rows(changes)])


def _statistics_rows(changes: dict[str, tuple[int, int]]) -> Rows:
    # In one of the shards, so that writers seldom wait for each other.
    shard = random.randrange(STATISTICS_SHARDS)  # noqa: S311 - spreads load, protects nothing
    rows = [
        {"user_id": user, "shard": shard, "documents": number, "length": length}
        for user, (number, length) in sorted(changes.items())
    ]
    return Rows(statement=ADD_STATISTICS, values=as_arrays(scope_statistics, rows))


async def set_live(tx: Transaction, places: Sequence[Place], *, live: bool) -> None:
    """Say whether vectors of these places may be found by a plain search."""
    await tx.execute(update(vectors).where(tx.own(vectors), vectors.c.place.in_(places)).values(live=live))
