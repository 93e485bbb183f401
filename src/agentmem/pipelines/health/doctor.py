"""The doctor: looks at a whole store, says what is wrong, and makes again what can be made again."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from agentmem.errors import AgentMemError, EmbedderUnavailable
from agentmem.features.memories.checking import MemoryChecking
from agentmem.features.memories.examination import Damage, Examination, IndexedBy
from agentmem.features.memories.mending import MemoryMending
from agentmem.features.memories.model import PreparedMemory, StoredVersion
from agentmem.features.memories.upkeep import MemoryUpkeep
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.database.inspect import Caretaker, ServerFacts
from agentmem.foundation.encryption.providers.masterfile import is_open_to_others
from agentmem.foundation.inference.loaded import Models
from agentmem.foundation.inference.port import Embedder
from agentmem.foundation.state.lock import Locks
from agentmem.schemas.classification import embeddable
from agentmem.schemas.health import REPAIRABLE, Finding, FindingCode, HealthReport

Progress = Callable[[int], None]
Prepare = Callable[[Caller, Sequence[StoredVersion], Embedder], Awaitable[list[tuple[StoredVersion, PreparedMemory]]]]
Item = TypeVar("Item")
REPAIRING: Final = "repairing the store"
ENTRIES_AT_ONCE: Final = 128
POSTINGS_AT_ONCE: Final = 2000
DIGESTS_AT_ONCE: Final = 500
MOST_ROUNDS: Final = 20
"""How often a repair looks again: an examination lists so much damage at a time, and one repair can uncover more."""

COMPARED: Final = 1000
"""Texts that an examination embeds again; all of them in a smaller store."""

COMPARED_AT_ONCE: Final = 100
ALIKE: Final = 0.99
TINY: Final = 1e-9

_ENTRY_CODES: Final = frozenset(
    {
        FindingCode.ENTRY_MISSING,
        FindingCode.ENTRY_DAMAGED,
        FindingCode.ENTRY_WRONG,
        FindingCode.VECTOR_MISSING,
        FindingCode.VECTOR_WRONG,
    }
)
_POSTING_CODES: Final = frozenset({FindingCode.POSTINGS_DAMAGED, FindingCode.POSTINGS_WRONG, FindingCode.INDEX_FOREIGN})
log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Examines the store of the caller's organization, and the server and the files around it.

    ``checking`` makes a checker that unwraps the keys anew; ``prepare`` analyses and embeds stored texts again.
    ``closed`` are files and folders that nobody but their owner may reach, ``guarded`` those that others may not
    change.
    """

    checking: Callable[[], MemoryChecking]
    mending: MemoryMending
    upkeep: MemoryUpkeep
    models: Models
    prepare: Prepare
    caretaker: Caretaker
    locks: Locks
    closed: tuple[Path, ...]
    guarded: tuple[Path, ...]

    async def examine(self, caller: Caller, *, repair: bool = False, progress: Progress | None = None) -> HealthReport:
        """Check everything; with ``repair``, make again what can be made, and check again.

        ``progress`` is called with the number of versions read, in each examination. Raises :class:`Conflict` while
        another process repairs the organization's store.
        """
        surroundings = await self._look_around()
        try:
            embedder = await self.models.require(await self.upkeep.active_model(caller, self.models.current.model))
            first = last = await self._examine(caller, embedder, progress)
            if repair and first.repairable:
                async with self.locks.hold(caller, REPAIRING) as repairing:
                    last = await self._repair_all(repairing, embedder, first, progress)
        except AgentMemError as error:
            if error.code not in {"key_unavailable", "decryption_failed"}:
                raise
            surroundings.append(_finding(FindingCode.KEYS_UNUSABLE, f"The keys cannot be used: {error.message}"))
            first = last = Examination()
        return _report(surroundings, first, last)

    async def _repair_all(
        self, caller: Caller, embedder: Embedder, last: Examination, progress: Progress | None
    ) -> Examination:
        for _ in range(MOST_ROUNDS):
            before = last.repairable
            await self._repair(caller, embedder, last)
            last = await self._examine(caller, embedder, progress)
            if last.repairable in {0, before}:
                break
        return last

    async def _examine(self, caller: Caller, embedder: Embedder, progress: Progress | None) -> Examination:
        indexed = IndexedBy(
            model=embedder.model,
            dimensions=embedder.dimensions,
            token_dimensions=embedder.token_dimensions,
            classes=embeddable(sends_texts=embedder.sends_texts),
        )
        checking = self.checking()
        examination = await checking.examine(caller, indexed, progress)
        try:
            await self._compare_vectors(caller, checking, embedder, examination)
        except EmbedderUnavailable as error:
            log.warning("embedder_failed", comparing=COMPARED, reason=error.code)
        return examination

    async def _compare_vectors(
        self, caller: Caller, checking: MemoryChecking, embedder: Embedder, examination: Examination
    ) -> None:
        """Embed some texts again, and note those whose vectors are not what comes of it."""
        noted = set(_places(examination.damage, frozenset({FindingCode.VECTOR_WRONG})))
        chosen = await checking.some_embedded(caller, embedder.model, COMPARED)
        for some in _parts([place for place in chosen if place not in noted], COMPARED_AT_ONCE):
            stored = await checking.embedded(caller, embedder.model, some)
            made = await self.prepare(caller, [text for text, _ in stored], embedder)
            for (text, there), (_, again) in zip(stored, made, strict=True):
                examination.compared += 1
                if again.vector is not None and not _are_alike(there, again.vector):
                    what = f"Version {text.record.version}: Its vector is not that of its text."
                    examination.found(
                        Damage(
                            code=FindingCode.VECTOR_WRONG,
                            what=what,
                            memory_id=text.record.id,
                            version=text.record.version,
                            place=text.place,
                        )
                    )

    async def _repair(self, caller: Caller, embedder: Embedder, found: Examination) -> None:
        """Do all that the damage asks for; what is counted is corrected last."""
        damage, codes = found.damage, frozenset(found.counts)
        digests = [
            (item.memory_id, item.version)
            for item in damage
            if item.code is FindingCode.DIGEST_WRONG and item.memory_id is not None and item.version is not None
        ]
        for some in _parts(digests, DIGESTS_AT_ONCE):
            await self.mending.restore_digests(caller, some)
        if FindingCode.INDEX_FOREIGN in codes:
            await self.mending.remove_orphans(caller)
        await self._rebuild_entries(caller, embedder, _places(damage, _ENTRY_CODES))
        if codes & _POSTING_CODES:
            for places in _parts(_places(damage, _POSTING_CODES), POSTINGS_AT_ONCE) or [[]]:
                await self.mending.rebuild_postings(caller, places)
        if FindingCode.SESSION_WRONG in codes:
            await self.mending.mend_sessions(caller)
        await self.mending.recount(caller)

    async def _rebuild_entries(self, caller: Caller, embedder: Embedder, places: Sequence[int]) -> None:
        try:
            for some in _parts(places, ENTRIES_AT_ONCE):
                texts = await self.mending.texts(caller, some)
                await self.mending.rebuild_entries(caller, embedder.model, await self.prepare(caller, texts, embedder))
        except EmbedderUnavailable as error:
            # The rest of the repair goes on; what needs vectors stays among the findings.
            log.warning("embedder_failed", repairing=len(places), reason=error.code)

    async def _look_around(self) -> list[Finding]:
        files = await asyncio.to_thread(self._check_files)
        return [*_check_server(await self.caretaker.facts()), *files]

    def _check_files(self) -> list[Finding]:
        found = []
        for paths, is_open in ((self.closed, is_open_to_others), (self.guarded, _is_writable_by_others)):
            for path in paths:
                if not path.exists():
                    found.append(_finding(FindingCode.PERMISSIONS_OPEN, f"{path} is not there."))
                elif is_open(path.stat()):
                    mode = f"{path.stat().st_mode & 0o777:o}"
                    what = f"{path} is open to other users (mode {mode}). Run: chmod go-rwx {path}"
                    found.append(_finding(FindingCode.PERMISSIONS_OPEN, what))
        return found


def _is_writable_by_others(found: os.stat_result) -> bool:
    return bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _are_alike(one: NDArray[np.float16], other: NDArray[np.float32]) -> bool:
    """Tell whether two vectors mean the same: a model rounds differently when it reads a text beside others."""
    one = one.astype(np.float32)
    lengths = max(float(np.linalg.norm(one) * np.linalg.norm(other)), TINY)
    return one.shape == other.shape and float(one @ other) / lengths >= ALIKE


def _check_server(facts: ServerFacts) -> Iterator[Finding]:
    if facts.incompatible is not None:
        yield _finding(FindingCode.SCHEMA_INCOMPATIBLE, facts.incompatible)
    for table in facts.unprotected_tables:
        yield _finding(FindingCode.ROW_SECURITY_OFF, f"Row-level security of the table {table} is not forced.")
    if facts.role_unrestricted:
        what = "The role agentmem_app can log in, or row-level security does not bind it."
        yield _finding(FindingCode.ROLE_UNRESTRICTED, what)
    for index in facts.invalid_indexes:
        what = f"The database index {index} is not valid. Run: REINDEX INDEX {index}"
        yield _finding(FindingCode.DATABASE_INDEX_INVALID, what)
    if facts.damaged_pages:
        what = f"PostgreSQL has met {facts.damaged_pages} pages with a wrong checksum: restore from a backup."
        yield _finding(FindingCode.DATABASE_PAGES_DAMAGED, what)
    if not facts.synced_writes:
        what = "fsync or full_page_writes is off: a power cut can destroy the store."
        yield _finding(FindingCode.WRITES_NOT_SYNCED, what)


def _places(damage: Sequence[Damage], codes: frozenset[FindingCode]) -> list[int]:
    return sorted({item.place for item in damage if item.code in codes and item.place is not None})


def _parts(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _report(surroundings: Sequence[Finding], first: Examination, last: Examination) -> HealthReport:
    findings = [*surroundings, *map(_described, last.damage)]
    standing = set(last.damage)
    counts = dict(last.counts)
    for finding in surroundings:
        counts[finding.code] = counts.get(finding.code, 0) + 1
    return HealthReport(
        healthy=not findings,
        memories=last.memories,
        versions=last.versions,
        places=last.places,
        pending_vectors=last.pending,
        vectors_compared=last.compared,
        findings=findings,
        counts=counts,
        repaired=[_described(item) for item in first.damage if item not in standing],
    )


def _described(damage: Damage) -> Finding:
    return _finding(damage.code, damage.what).model_copy(update={"memory_id": damage.memory_id})


def _finding(code: FindingCode, what: str) -> Finding:
    return Finding(code=code, what=what, repairable=code in REPAIRABLE)
