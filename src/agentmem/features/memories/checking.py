"""Proving that what is stored is whole: every version opens, and the indexes say exactly what the texts say.

Of vectors it sees whether they are there and of the right form; what they mean is told by embedding again, which the
doctor does between operations.

All of it is read in one snapshot, in batches, so that nothing that others do meanwhile is taken for damage and a store
of any size fits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Float,
    Integer,
    LargeBinary,
    and_,
    bindparam,
    func,
    select,
    type_coerce,
)

from agentmem.errors import Conflict, DecryptionFailed, IntegrityError
from agentmem.features.memories.cross_checks import cross_check
from agentmem.features.memories.examination import Damage, Examination, IndexedBy
from agentmem.features.memories.index_entry import IndexEntry, SealedEntry, build, decode
from agentmem.features.memories.index_writing import NOBODY, PENDING, SHORT, WORDS
from agentmem.features.memories.model import StoredVersion
from agentmem.features.memories.packing import is_any, read_rows
from agentmem.features.memories.posting_sums import PlaceSums
from agentmem.features.memories.repository import CLASSES, RECORD_COLUMNS, RecordRow, content_digest, to_record, unlock
from agentmem.features.memories.rewriting import texts_at
from agentmem.features.memories.tables import index_entries, index_settings, memories, vectors
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.known_keys import KnownKeys
from agentmem.foundation.database.tables import encryption_keys
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import Place
from agentmem.operations import operation
from agentmem.schemas.classification import Classification
from agentmem.schemas.health import FindingCode, KeyInfo
from agentmem.schemas.memories import MemoryRecord

Progress = Callable[[int], None]
MEMORIES_AT_ONCE: Final = 100
SUMS_AT_ONCE: Final = 500_000
"""Places whose postings are compared in one reading of all postings: 12 MB."""

PLACES_AT_ONCE: Final = 10_000
VECTOR_TOLERANCE: Final = 0.02
"""How far the length of a vector may be from 1; half precision rounds each number to three digits."""

VECTOR_HEAD: Final = 4
"""Bytes before the numbers in pgvector's binary form."""


@dataclass(frozen=True, kw_only=True)
class MemoryChecking:
    """Checks the memories of the caller's organization."""

    database: Database

    @classmethod
    def over(cls, database: Database) -> MemoryChecking:
        """Make it over a database: its transactions are snapshots, and unwrap the keys anew."""
        return cls(database=replace(database, snapshots=True, _keys=KnownKeys()))

    @operation(Permission.MEMORY_MAINTAIN, read_only=True)
    async def examine(self, tx: Transaction, indexed: IndexedBy, progress: Progress | None = None) -> Examination:
        """Read everything and compare it; ``progress`` is called with the number of versions read."""
        in_force = select(index_settings.c.embedding_model).where(tx.own(index_settings))
        if (await tx.execute(in_force)).scalar_one() != indexed.model:
            raise Conflict("The store's embedding model was changed at this moment.", hint="Run the doctor again.")
        examination = Examination()
        await _Reader(tx, indexed, examination).read(progress)
        await cross_check(tx, examination)
        return examination

    @operation(Permission.MEMORY_MAINTAIN, read_only=True)
    async def some_embedded(self, tx: Transaction, model: str, limit: int) -> list[Place]:
        """Choose texts that have a vector of a model, by chance."""
        own = and_(tx.own(vectors), vectors.c.model == model)
        return list(
            (await tx.execute(select(vectors.c.place).where(own).order_by(func.random()).limit(limit))).scalars()
        )

    @operation(Permission.MEMORY_MAINTAIN, read_only=True)
    async def embedded(
        self, tx: Transaction, model: str, places: Sequence[int]
    ) -> list[tuple[StoredVersion, NDArray[np.float16]]]:
        """Read the texts at places with their vectors; what does not open, or has no vector, is left out."""
        packed = type_coerce(func.halfvec_send(vectors.c.embedding), LargeBinary).label("packed")
        own = and_(tx.own(vectors), vectors.c.model == model, is_any(vectors.c.place, places))
        stored = {row.place: row.packed for row in await tx.execute(select(vectors.c.place, packed).where(own))}
        return [
            (text, np.frombuffer(stored[text.place], ">f2", offset=VECTOR_HEAD).astype(np.float16))
            for text in await texts_at(tx, places)
            if text.place in stored
        ]

    @operation(Permission.ORGANIZATION_READ, read_only=True)
    async def keys(self, tx: Transaction) -> list[KeyInfo]:
        """Read which keys the organization has; the keys themselves stay where they are."""
        rows = await tx.execute(
            select(encryption_keys).where(tx.own(encryption_keys)).order_by(encryption_keys.c.created_at)
        )
        return [
            KeyInfo(
                key_id=row.key_id,
                purpose=row.purpose,
                provider_key_id=row.provider_key_id,
                retired=row.retired_at is not None,
            )
            for row in rows
        ]


class _Reader:
    """Goes through all versions in the order of their memories, then through the postings."""

    def __init__(self, tx: Transaction, indexed: IndexedBy, examination: Examination) -> None:
        self.tx, self.indexed, self.seen = tx, indexed, examination
        self.sums = PlaceSums()
        self.unreadable: set[int] = set()
        self.foreign: set[int] = set()
        self.is_first_comparison = True

    async def read(self, progress: Progress | None) -> None:
        after = UUID(int=0)
        while ids := await self._next(after):
            after = ids[-1]
            versions = await self._versions(ids)
            self.seen.memories += len(ids)
            self.seen.versions += sum(map(len, versions.values()))
            await self._check_texts([text for rows in versions.values() for text in self._texts(rows)])
            if len(self.sums) >= SUMS_AT_ONCE:
                await self._compare_postings()
            if progress is not None:
                progress(sum(map(len, versions.values())))
        if len(self.sums) or self.is_first_comparison:
            await self._compare_postings()

    async def _next(self, after: UUID) -> list[UUID]:
        statement = select(memories.c.memory_id).distinct().where(self.tx.own(memories), memories.c.memory_id > after)
        return list((await self.tx.execute(statement.order_by(memories.c.memory_id).limit(MEMORIES_AT_ONCE))).scalars())

    async def _versions(self, ids: Sequence[UUID]) -> dict[UUID, list[RecordRow]]:
        columns = (*RECORD_COLUMNS, memories.c.content_digest, memories.c.known_until)
        statement = select(*columns).where(self.tx.own(memories), memories.c.memory_id.in_(ids))
        versions: dict[UUID, list[RecordRow]] = defaultdict(list)
        ordered = statement.order_by(memories.c.memory_id, memories.c.version)
        for row in await unlock(self.tx, await self.tx.execute(ordered)):
            versions[row.memory_id].append(row)
        return versions

    def _texts(self, rows: Sequence[RecordRow]) -> list[_Text]:
        """Check the versions of one memory, and give what is indexed of it: the last version at each place."""
        self._check_history(rows)
        texts: dict[int, _Text] = {}
        for row in rows:
            record = self._opened(row)
            live = row.known_until is None and row.deleted_at is None
            texts[row.place] = _Text(row=row, record=record, live=live)
        return list(texts.values())

    def _opened(self, row: RecordRow) -> MemoryRecord | None:
        try:
            record = to_record(self.tx, row)
        except (DecryptionFailed, UnicodeDecodeError):
            self._found(FindingCode.CONTENT_DAMAGED, row, "The content or the speaker does not open with its key.")
            return None
        if content_digest(self.tx, record) != row.content_digest:
            self._found(FindingCode.DIGEST_WRONG, row, "The digest is not that of the content and its scope.")
        return record

    def _check_history(self, rows: Sequence[RecordRow]) -> None:
        if [row.version for row in rows] != list(range(1, len(rows) + 1)):
            self._found(FindingCode.HISTORY_BROKEN, rows[-1], "The versions are not numbered from 1 without a gap.")
        for row, successor in pairwise(rows):
            if row.known_until is None or row.known_until != successor.updated_at:
                self._found(FindingCode.HISTORY_BROKEN, row, "It does not end when the next version begins.")
            elif row.updated_at >= successor.updated_at:
                self._found(FindingCode.HISTORY_BROKEN, row, "It does not begin before the next version.")
        if rows[-1].known_until is not None:
            self._found(FindingCode.HISTORY_BROKEN, rows[-1], "The last version is not the current one.")
        if len({row.created_at for row in rows}) > 1:
            self._found(FindingCode.HISTORY_BROKEN, rows[-1], "Its versions name several times of creation.")

    async def _check_texts(self, texts: Sequence[_Text]) -> None:
        self.seen.places += len(texts)
        texts = [text for text in texts if CLASSES[text.row.classification].is_indexed]
        entries = await _read_entries(self.tx, self.indexed.model, [text.row.place for text in texts])
        stored = await _read_vectors(self.tx, self.indexed.model, [text.row.place for text in texts])
        for text in texts:
            expected = None if text.record is None else _entry_of(text.record)
            if expected is None:
                self.unreadable.add(text.row.place)
            else:
                self._expect_postings(text, expected)
            entry = entries.get(text.row.place)
            if entry is None:
                self._found(FindingCode.ENTRY_MISSING, text.row, "Its text has no index entry.")
            else:
                self._check_entry(text, entry, expected)
            self._check_vector(text, entry, stored.get(text.row.place))

    def _expect_postings(self, text: _Text, expected: IndexEntry) -> None:
        hashes = self.tx.keys.index.term_hashes(expected.terms)
        frequencies = [min(number, SHORT) for number in expected.terms.values()]
        length = min(expected.length, SHORT)
        self.sums.expect(text.row.place, text.row.user_id or NOBODY, hashes, frequencies, length)

    def _check_entry(self, text: _Text, entry: RecordRow, expected: IndexEntry | None) -> None:
        try:
            opened = decode(self.tx.ring.opener("index_entries", "entry")(entry.memory_id, entry.version, entry.entry))
        except IntegrityError:
            self._found(FindingCode.ENTRY_DAMAGED, text.row, "Its index entry does not open, or is not one.")
            return
        if expected is None:
            return
        wrong = [name for name, same in self._comparison(text, entry, opened, expected) if not same]
        if wrong:
            self._found(
                FindingCode.ENTRY_WRONG, text.row, f"Its index entry is not what its text says: {', '.join(wrong)}."
            )

    def _comparison(
        self, text: _Text, entry: RecordRow, opened: SealedEntry, expected: IndexEntry
    ) -> list[tuple[str, bool]]:
        speakers = self.tx.keys.index.term_hashes(expected.speaker_terms)
        token_dimensions = self.indexed.token_dimensions if entry.model == self.indexed.model else 0
        return [
            ("memory", entry.memory_id == text.row.memory_id),
            ("version", entry.version <= text.row.version),
            ("user", entry.user_id == (text.row.user_id or NOBODY)),
            ("length", entry.length == expected.length),
            ("speaker", list(entry.speakers) == speakers),
            ("question", opened.is_question == expected.is_question),
            ("times", (opened.has_time, opened.mentions) == (expected.has_time, expected.mentions)),
            ("tokens", not opened.tokens.size or opened.tokens.shape[1] == token_dimensions or not token_dimensions),
        ]

    def _check_vector(self, text: _Text, entry: RecordRow | None, vector: RecordRow | None) -> None:
        if vector is None:
            if entry is not None and entry.model == self.indexed.model:
                self._found(FindingCode.VECTOR_MISSING, text.row, "Its text has no vector of the model in force.")
            else:
                self.seen.pending += entry is not None and entry.model != WORDS
            return
        faults = [
            name
            for name, same in (
                ("length", self.indexed.dimensions in {0, vector.dimensions}),
                ("norm", abs(vector.norm - 1) < VECTOR_TOLERANCE),
                ("user", vector.user_id == (text.row.user_id or NOBODY)),
                ("visibility", vector.live == text.live),
                ("graph", vector.graph in {None, vector.dimensions}),
                ("classification", CLASSES[text.row.classification] in self.indexed.classes),
            )
            if not same
        ]
        if faults:
            self._found(FindingCode.VECTOR_WRONG, text.row, f"Its vector is not as it should be: {', '.join(faults)}.")

    async def _compare_postings(self) -> None:
        matching, unreadable = self.sums.matching(), np.array(sorted(self.unreadable), np.int64)
        async for rows in read_rows(self.tx):
            damaged = [row for row in rows if row.block is None]
            sound = [(row.term, row.user_id, row.block) for row in rows if row.block is not None]
            beyond = matching.meet(sound) if sound else np.zeros(0, np.int64)
            if self.is_first_comparison:
                for _ in damaged:
                    self.seen.found(
                        Damage(
                            code=FindingCode.POSTINGS_DAMAGED, what="A row of postings is not what is written there."
                        )
                    )
                await self._check_foreign(np.setdiff1d(beyond, unreadable))
        owners = await _owners(self.tx, [place for place, _, _ in matching.wrong()])
        for place, due, there in matching.wrong():
            what = f"Its text has {due} postings, and {there} are stored." if due != there else "Its postings differ."
            self.seen.found(
                Damage(code=FindingCode.POSTINGS_WRONG, what=what, memory_id=owners.get(place), place=place)
            )
        self.sums, self.is_first_comparison = PlaceSums(), False

    async def _check_foreign(self, places: NDArray[np.int64]) -> None:
        """Note those of the places that no memory has."""
        owners = await _owners(self.tx, places.tolist(), memories.c.classification != Classification.RESTRICTED.value)
        for place in places.tolist():
            if place not in owners and place not in self.foreign:
                self.foreign.add(place)
                what = f"Postings name the place {place}, which no memory has that may be indexed."
                self.seen.found(Damage(code=FindingCode.INDEX_FOREIGN, what=what, place=place))

    def _found(self, code: FindingCode, row: RecordRow, what: str) -> None:
        self.seen.found(
            Damage(
                code=code,
                what=f"Version {row.version}: {what}",
                memory_id=row.memory_id,
                version=row.version,
                place=row.place,
            )
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Text:
    """A version whose text is indexed; ``record`` is absent when it does not open."""

    row: RecordRow
    record: MemoryRecord | None
    live: bool


def _entry_of(record: MemoryRecord) -> IndexEntry:
    return build(record.content, record.actor, record.occurred_at, None)


async def _read_entries(tx: Transaction, model: str, places: Sequence[int]) -> dict[int, RecordRow]:
    """Read the entry at each place: the model's own, or else one without a model or of another one."""
    here = and_(tx.own(index_entries), is_any(index_entries.c.place, places))
    own = {
        row.place: row for row in await tx.execute(select(index_entries).where(here, index_entries.c.model == model))
    }
    missing = [place for place in places if place not in own]
    if missing:
        other = select(index_entries).where(here, is_any(index_entries.c.place, missing))
        # Sorted so that an entry without a model, which comes last, wins over one of a model that is not in force.
        for row in await tx.execute(other.order_by((index_entries.c.model == PENDING).asc())):
            own[row.place] = row
    await tx.ring.unlock(row.entry for row in own.values())
    return own


async def _read_vectors(tx: Transaction, model: str, places: Sequence[int]) -> dict[int, RecordRow]:
    columns = (
        vectors.c.place,
        vectors.c.user_id,
        vectors.c.live,
        vectors.c.graph,
        type_coerce(func.vector_dims(vectors.c.embedding), Integer).label("dimensions"),
        type_coerce(func.l2_norm(vectors.c.embedding), Float).label("norm"),
    )
    statement = select(*columns).where(tx.own(vectors), vectors.c.model == model, is_any(vectors.c.place, places))
    return {row.place: row for row in await tx.execute(statement)}


async def _owners(tx: Transaction, places: Sequence[int], *which: ColumnElement[bool]) -> dict[int, UUID]:
    owners: dict[int, UUID] = {}
    chosen = memories.c.place == func.any(bindparam("places", type_=ARRAY(BigInteger)))
    statement = select(memories.c.place, memories.c.memory_id).where(tx.own(memories), chosen, *which)
    for start in range(0, len(places), PLACES_AT_ONCE):
        rows = await tx.execute(statement, {"places": list(places[start : start + PLACES_AT_ONCE])})
        owners.update((place, memory_id) for place, memory_id in rows)
    return owners
