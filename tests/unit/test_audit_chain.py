from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from agentmem.features.audit.model import Seal, StoredEntry, canonical, digest_of, faults_of_seal
from agentmem.foundation.encryption.index import IndexKeys
from agentmem.foundation.encryption.secret import KEY_BYTES, SecretKey
from agentmem.kit.ids import OrganizationId

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEYS = IndexKeys(organization_id=OrganizationId(UUID(int=1)), secret=SecretKey(bytearray(b"k" * KEY_BYTES)))
ENTRIES = [
    StoredEntry(
        entry_id=UUID(int=number),
        at=NOW + timedelta(seconds=number),
        actor="member:1",
        action="memory.added",
        outcome="done",
        targets=[UUID(int=100 + number)],
        detail={"request_id": "r", "code": "c"},
    )
    for number in range(1, 7)
]


def sealed(seal_no: int, previous: bytes, entries: Sequence[StoredEntry]) -> Seal:
    return Seal(
        seal_no=seal_no,
        sealed_at=NOW,
        entries=[entry.entry_id for entry in entries],
        previous=previous,
        digest=digest_of(KEYS, seal_no, previous, entries),
    )


FIRST = sealed(1, b"", ENTRIES[:3])
SECOND = sealed(2, FIRST.digest, ENTRIES[3:])


def faults(seals: Sequence[Seal], entries: Sequence[StoredEntry]) -> list[tuple[int, str]]:
    found = {entry.entry_id: entry for entry in entries}
    pairs = zip([None, *seals[:-1]], seals, strict=True)
    return [
        (problem.seal, problem.problem)
        for before, seal in pairs
        for problem in faults_of_seal(KEYS, before, seal, found)
    ]


def test_untouched_trail_has_no_faults() -> None:
    assert faults([FIRST, SECOND], ENTRIES) == []


@pytest.mark.parametrize(
    "change",
    [
        {"at": NOW},
        {"actor": "member:2"},
        {"action": "memory.updated"},
        {"outcome": "failed"},
        {"targets": []},
        {"detail": {}},
    ],
)
def test_change_of_any_column_is_found_in_its_seal(change: dict[str, object]) -> None:
    changed = [*ENTRIES[:4], replace(ENTRIES[4], **change), ENTRIES[5]]  # type: ignore[arg-type]

    assert faults([FIRST, SECOND], changed) == [(2, "An entry of this seal, or the seal, has been changed.")]


def test_removed_entry_is_named() -> None:
    found = {entry.entry_id: entry for entry in ENTRIES[1:]}
    (problem,) = faults_of_seal(KEYS, None, FIRST, found)

    assert (problem.seal, problem.entry_id) == (1, ENTRIES[0].entry_id)


def test_removed_seal_leaves_a_gap() -> None:
    assert [seal for seal, _ in faults([SECOND], ENTRIES)] == [2]


def test_seal_made_without_the_key_does_not_hold() -> None:
    forged = replace(FIRST, digest=b"\x00" * 16)

    assert [seal for seal, _ in faults([forged, SECOND], ENTRIES)] == [1, 2]


def test_seal_of_other_entries_under_the_same_number_breaks_the_next() -> None:
    shorter = sealed(1, b"", ENTRIES[:2])

    assert faults([shorter, SECOND], ENTRIES) == [(2, "The seal does not follow the one before it.")]


def test_same_moment_in_another_zone_is_the_same_entry() -> None:
    moved = [replace(entry, at=entry.at.astimezone()) for entry in ENTRIES]

    assert canonical(moved) == canonical(ENTRIES)
