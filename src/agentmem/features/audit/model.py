"""Seals of the audit trail, as values: what a seal covers, and how a trail is compared with its seals.

A seal digests a batch of entries by a key that the database does not hold, together with its number and the digest of
the seal before it. Whoever can write to the tables but not use the key can therefore neither change, remove nor put in
a sealed entry unnoticed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hmac import compare_digest
from uuid import UUID

from agentmem.foundation.encryption.index import IndexKeys
from agentmem.schemas.audit import AuditEntry, AuditProblem, SealHead


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredEntry:
    """One entry as its row holds it."""

    entry_id: UUID
    at: datetime
    actor: str
    action: str
    outcome: str
    targets: Sequence[UUID]
    detail: Mapping[str, object]

    def view(self) -> AuditEntry:
        """Give the entry as callers see it."""
        return AuditEntry(
            id=self.entry_id,
            at=self.at,
            actor=self.actor,
            action=self.action,
            outcome=self.outcome,
            targets=list(self.targets),
            detail={name: str(value) for name, value in self.detail.items()},
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Seal:
    """One seal: its number from 1, the entries it covers, the digest before it, and its own."""

    seal_no: int
    sealed_at: datetime
    entries: Sequence[UUID]
    previous: bytes
    digest: bytes


def digest_of(keys: IndexKeys, seal_no: int, previous: bytes, entries: Sequence[StoredEntry]) -> bytes:
    """Digest entries in their order as the seal of this number."""
    return keys.content_digest(("audit", str(seal_no), previous.hex()), canonical(entries))


def canonical(entries: Sequence[StoredEntry]) -> str:
    """Write entries as JSON of one form: equal entries give equal text, wherever they are written."""
    rows = [
        [
            str(entry.entry_id),
            entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
            entry.actor,
            entry.action,
            entry.outcome,
            [str(target) for target in entry.targets],
            dict(entry.detail),
        ]
        for entry in entries
    ]
    return json.dumps(rows, sort_keys=True, separators=(",", ":"))


def faults_of_seal(
    keys: IndexKeys, before: Seal | None, seal: Seal, found: Mapping[UUID, StoredEntry]
) -> Iterator[AuditProblem]:
    """Compare a seal with the one before it and with the entries that are stored."""
    expected_no = 1 if before is None else before.seal_no + 1
    if seal.seal_no != expected_no:
        yield AuditProblem(seal=seal.seal_no, problem=f"The seal should be number {expected_no}: seals are missing.")
    elif seal.previous != (b"" if before is None else before.digest):
        yield AuditProblem(seal=seal.seal_no, problem="The seal does not follow the one before it.")
    missing = [entry_id for entry_id in seal.entries if entry_id not in found]
    for entry_id in missing:
        yield AuditProblem(seal=seal.seal_no, entry_id=entry_id, problem="A sealed entry is missing.")
    if not missing:
        entries = [found[entry_id] for entry_id in seal.entries]
        if digest_of(keys, seal.seal_no, seal.previous, entries) != seal.digest:
            yield AuditProblem(seal=seal.seal_no, problem="An entry of this seal, or the seal, has been changed.")


def meets(seal: Seal, head: SealHead | None) -> bool:
    """Tell whether a seal is the one that was the newest once."""
    return head is not None and seal.seal_no == head.seal and compare_digest(seal.digest.hex(), head.digest)
