"""Operations on the audit trail: read it, seal it, and find out whether it is whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from agentmem.errors import InvalidCursor
from agentmem.features.audit import repository
from agentmem.features.audit.model import Seal, digest_of, faults_of_seal, meets
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.paging import decode_cursor, encode_cursor, query_fingerprint
from agentmem.operations import operation
from agentmem.schemas.audit import AuditEntry, AuditProblem, AuditQuery, AuditVerification, SealHead
from agentmem.schemas.memories import Page

MOST_SEALS: Final = 50
"""Seals that one call writes at most."""

MOST_PROBLEMS: Final = 1000
_SEALS_READ: Final = 100


@dataclass(frozen=True, kw_only=True)
class AuditService:
    """The audit trail of the caller's organization."""

    database: Database

    @operation(Permission.AUDIT_READ, read_only=True)
    async def page(self, tx: Transaction, query: AuditQuery) -> Page[AuditEntry]:
        """Read a page of entries, oldest first; raises :class:`InvalidCursor`."""
        fingerprint = query_fingerprint(query.model_dump_json(exclude={"cursor", "limit"}))
        after = None if query.cursor is None else _position(query.cursor, fingerprint)
        found = await repository.search_entries(tx, query, after, query.limit + 1)
        last = None
        if len(found) > query.limit:
            end = found[query.limit - 1]
            last = encode_cursor(fingerprint, [end.at.isoformat(), str(end.entry_id)])
        return Page(items=[entry.view() for entry in found[: query.limit]], next_cursor=last)

    @operation(Permission.AUDIT_READ, read_only=True)
    async def read(self, tx: Transaction, after: UUID | None, limit: int) -> list[AuditEntry]:
        """Read up to ``limit`` entries after the one with this id, in the order of their making: an export's step."""
        return [entry.view() for entry in await repository.entries_after(tx, after, limit)]

    @operation(Permission.PRIVACY_READ, read_only=True)
    async def about(self, tx: Transaction, targets: Sequence[UUID], after: UUID | None, limit: int) -> list[AuditEntry]:
        """Read up to ``limit`` entries after another that name one of these ids, and of what they name those alone."""
        known = set(targets)
        found = [entry.view() for entry in await repository.entries_about(tx, targets, after, limit)]
        return [
            entry.model_copy(update={"targets": [target for target in entry.targets if target in known]})
            for entry in found
        ]

    @operation(Permission.MEMORY_READ, audit="memory.read")
    async def note_read(self, tx: Transaction, memory_ids: Sequence[UUID]) -> None:
        """Write down which memories the caller is given, before they are."""
        tx.touch(memory_ids)

    @operation(Permission.MEMORY_MAINTAIN)
    async def seal(self, tx: Transaction) -> int:
        """Seal the settled entries that are in no seal, up to ``MOST_SEALS`` batches, and say how many there were."""
        await repository.hold_sealing(tx)
        sealed = 0
        last = await repository.last_seal(tx)
        for _ in range(MOST_SEALS):
            entries = await repository.entries_to_seal(tx, await repository.sealed_from(tx, last))
            if not entries:
                break
            seal_no, previous = (1, b"") if last is None else (last.seal_no + 1, last.digest)
            last = Seal(
                seal_no=seal_no,
                sealed_at=tx.now,
                entries=[entry.entry_id for entry in entries],
                previous=previous,
                digest=digest_of(tx.keys.index, seal_no, previous, entries),
            )
            await repository.write_seal(tx, last)
            sealed += len(entries)
        return sealed

    @operation(Permission.AUDIT_VERIFY, read_only=True)
    async def verify(self, tx: Transaction, head: SealHead | None = None) -> AuditVerification:
        """Compare every entry with its seal, and tell of up to ``MOST_PROBLEMS`` places where they differ.

        ``head`` is the newest seal of an earlier verification: without it nobody can tell that the end was cut off.
        """
        problems: list[AuditProblem] = []
        last: Seal | None = None
        seals = entries = 0
        met = head is None
        while batch := await repository.seals_after(tx, last, _SEALS_READ):
            for seal in batch:
                found = await repository.entries_by_id(tx, seal.entries)
                problems += faults_of_seal(tx.keys.index, last, seal, found)
                met = met or meets(seal, head)
                seals, entries, last = seals + 1, entries + len(found), seal
        if head is not None and not met:
            problems.append(AuditProblem(seal=head.seal, problem="The seal that was seen earlier is not there."))
        problems += await _put_in(tx, last)
        return AuditVerification(
            whole=not problems,
            seals=seals,
            entries=entries,
            unsealed=await repository.count_unsealed(tx),
            problems=problems[:MOST_PROBLEMS],
            head=None if last is None else SealHead(seal=last.seal_no, digest=last.digest.hex()),
        )


async def _put_in(tx: Transaction, last: Seal | None) -> list[AuditProblem]:
    """Find entries that claim to be older than what is sealed: they were written afterwards."""
    moment = await repository.sealed_from(tx, last)
    if last is None or moment is None:
        return []
    return [
        AuditProblem(seal=last.seal_no, entry_id=entry_id, problem="An entry older than this seal is in no seal.")
        for entry_id in await repository.unsealed_before(tx, moment, MOST_PROBLEMS)
    ]


def _position(cursor: str, fingerprint: str) -> tuple[datetime, UUID]:
    at, entry_id = decode_cursor(cursor, fingerprint, 2)
    try:
        return datetime.fromisoformat(str(at)), UUID(str(entry_id))
    except ValueError:
        raise InvalidCursor("The cursor is damaged.", hint="Start again without a cursor.") from None
