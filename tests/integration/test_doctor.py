from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

import pytest

from agentmem import AsyncMemory
from agentmem.foundation.database.migrate import newest_revision
from agentmem.schemas.health import FindingCode, HealthReport
from agentmem.schemas.memories import MemoryRecord
from tests.support.embedded_server import wait_until
from tests.support.stores import Owner, Store

SCHEMA = (
    "UPDATE agentmem.alembic_version SET version_num = '{revision}'; "
    "UPDATE agentmem_platform.schema_compatibility SET oldest_revision = '{oldest}'"
)

TURNS = [
    {"role": "user", "name": "Bo", "content": "Yesterday I moved to Oslo with my violin"},
    {"role": "assistant", "content": "How do you like the harbour?"},
    {"role": "user", "name": "Bo", "content": "The harbour is cold, the library is warm"},
]


@dataclass(frozen=True, kw_only=True)
class Patient:
    """A store with a conversation, a changed memory, a deleted one, and a text of nobody."""

    memory: AsyncMemory
    owner: Owner
    turns: list[MemoryRecord]
    changed: MemoryRecord

    @property
    def organization(self) -> UUID:
        return self.memory.app.caller.organization_id

    def hurt(self, *statements: str) -> None:
        """Damage the store as only the owner of the database can; every statement must change something."""
        names = {"organization": self.organization, "turn": self.turns[0].id, "changed": self.changed.id}
        for statement in statements:
            assert self.owner.execute(statement, names).rowcount > 0, statement


@pytest.fixture
async def patient(memory: AsyncMemory, owner: Owner) -> Patient:
    turns = (await memory.add(TURNS, user_id="bo", run_id="move")).memories
    (text,) = (await memory.add("Ada drinks green tea", user_id="ada")).memories
    changed = await memory.update(text.id, content="Ada drinks black coffee since Monday")
    changed = await memory.update(changed.id, importance=0.9)
    (gone,) = (await memory.add("the tram was late", user_id="bo")).memories
    await memory.delete(gone.id)
    await memory.add("nobody said this")
    return Patient(memory=memory, owner=owner, turns=turns, changed=changed)


def codes(report: HealthReport) -> set[FindingCode]:
    return {finding.code for finding in report.findings}


PLACE = "(SELECT place FROM agentmem.memories WHERE memory_id = %(turn)s AND known_until IS NULL)"
OWN = "organization_id = %(organization)s"
A_ROW = f"(SELECT ctid FROM agentmem.postings WHERE {OWN} AND user_id = 'bo' ORDER BY term LIMIT 1)"
REPAIRABLE: list[tuple[str, Sequence[str], FindingCode]] = [
    ("lost vector", [f"DELETE FROM agentmem.vectors WHERE {OWN} AND place = {PLACE}"], FindingCode.VECTOR_MISSING),
    (
        "vector of another length",
        [f"UPDATE agentmem.vectors SET embedding = '[1,0,0]' WHERE {OWN} AND place = {PLACE}"],
        FindingCode.VECTOR_WRONG,
    ),
    (
        "vectors of two texts swapped",
        [
            ("UPDATE agentmem.vectors AS v SET embedding = o.embedding FROM agentmem.vectors AS o "
            f"WHERE v.{OWN} AND o.organization_id = v.organization_id AND o.place <> v.place "
            f"AND v.place BETWEEN {PLACE} AND {PLACE} + 1 AND o.place BETWEEN {PLACE} AND {PLACE} + 1")
        ],
        FindingCode.VECTOR_WRONG,
    ),
    (
        "hidden vector",
        [f"UPDATE agentmem.vectors SET live = NOT live WHERE {OWN} AND place = {PLACE}"],
        FindingCode.VECTOR_WRONG,
    ),
    (
        "flipped byte in an entry",
        [
            ("UPDATE agentmem.index_entries SET entry = set_byte(entry, 50, get_byte(entry, 50) # 1) "
            f"WHERE {OWN} AND place = {PLACE}")
        ],
        FindingCode.ENTRY_DAMAGED,
    ),
    (
        "lost entry",
        [f"DELETE FROM agentmem.index_entries WHERE {OWN} AND place = {PLACE}"],
        FindingCode.ENTRY_MISSING,
    ),
    (
        "entry of another length",
        [f"UPDATE agentmem.index_entries SET length = length + 1 WHERE {OWN} AND place = {PLACE}"],
        FindingCode.ENTRY_WRONG,
    ),
    (
        "entry without its speaker",
        [f"UPDATE agentmem.index_entries SET speakers = '{{}}' WHERE {OWN} AND place = {PLACE}"],
        FindingCode.ENTRY_WRONG,
    ),
    ("lost posting", [f"DELETE FROM agentmem.postings WHERE ctid = {A_ROW}"], FindingCode.POSTINGS_WRONG),
    (
        "posting with another frequency",
        [f"UPDATE agentmem.postings SET packed = set_byte(packed, 8, 9) WHERE ctid = {A_ROW}"],
        FindingCode.POSTINGS_WRONG,
    ),
    (
        "posting of another user",
        [f"UPDATE agentmem.postings SET user_id = 'eve' WHERE ctid = {A_ROW}"],
        FindingCode.POSTINGS_WRONG,
    ),
    (
        "cut row of postings",
        [f"UPDATE agentmem.postings SET packed = substr(packed, 1, 7) WHERE ctid = {A_ROW}"],
        FindingCode.POSTINGS_DAMAGED,
    ),
    (
        "posting of no memory",
        [
            ("INSERT INTO agentmem.postings "
            "VALUES (%(organization)s, 7, 'bo', 77, '\\x4d0000000000000001000200'::bytea)")
        ],
        FindingCode.INDEX_FOREIGN,
    ),
    (
        "vector of no memory",
        [
            ("INSERT INTO agentmem.vectors (organization_id, model, place, user_id, embedding) "
            "VALUES (%(organization)s, 'other@1', 77, 'bo', '[1]')")
        ],
        FindingCode.INDEX_FOREIGN,
    ),
    (
        "miscounted statistics",
        [f"UPDATE agentmem.scope_statistics SET documents = documents + 5 WHERE {OWN} AND user_id = 'bo'"],
        FindingCode.STATISTICS_WRONG,
    ),
    (
        "lost statistics",
        [f"DELETE FROM agentmem.scope_statistics WHERE {OWN} AND user_id = 'ada'"],
        FindingCode.STATISTICS_WRONG,
    ),
    (
        "miscounted usage",
        [f"UPDATE agentmem.organization_usage SET content_bytes = content_bytes + 1 WHERE {OWN}"],
        FindingCode.USAGE_WRONG,
    ),
    ("lost usage", [f"DELETE FROM agentmem.organization_usage WHERE {OWN}"], FindingCode.USAGE_WRONG),
    (
        "changed digest",
        [("UPDATE agentmem.memories SET content_digest = set_byte(content_digest, 0, get_byte(content_digest, 0) # 1) "
         "WHERE memory_id = %(turn)s")],
        FindingCode.DIGEST_WRONG,
    ),
    (
        "session that ends too early",
        [f"UPDATE agentmem.sessions SET last_position = 16 WHERE {OWN}"],
        FindingCode.SESSION_WRONG,
    ),
    ("lost session", [f"DELETE FROM agentmem.sessions WHERE {OWN}"], FindingCode.SESSION_WRONG),
]  # fmt: skip


async def test_doctor_finds_nothing_wrong_with_a_store_that_was_used_in_every_way(patient: Patient) -> None:
    report = await patient.memory.doctor()

    assert report.findings == []
    assert report.healthy
    assert (report.memories, report.versions, report.places, report.pending_vectors) == (6, 9, 7, 0)
    assert report.vectors_compared == 7


async def test_doctor_finds_nothing_wrong_with_an_empty_store(memory: AsyncMemory) -> None:
    report = await memory.doctor(repair=True)

    assert (report.healthy, report.memories, len(report.findings), len(report.repaired)) == (True, 0, 0, 0)


@pytest.mark.parametrize("_,statements,code", REPAIRABLE, ids=[name for name, _, _ in REPAIRABLE])
async def test_damage_to_what_can_be_made_again_is_found_and_repaired(
    patient: Patient, _: str, statements: Sequence[str], code: FindingCode
) -> None:
    patient.hurt(*statements)
    sick = await patient.memory.doctor()
    assert code in codes(sick)
    assert not sick.healthy
    assert all(finding.repairable for finding in sick.findings)

    treated = await patient.memory.doctor(repair=True)
    assert treated.findings == []
    assert code in {finding.code for finding in treated.repaired}
    assert (await patient.memory.doctor()).healthy
    found = await patient.memory.search("violin in Oslo", user_id="bo")
    assert found.hits[0].memory.id == patient.turns[0].id


async def test_repair_is_named_in_the_audit(patient: Patient) -> None:
    patient.hurt(f"DELETE FROM agentmem.vectors WHERE {OWN} AND place = {PLACE}")
    await patient.memory.doctor(repair=True)

    entries = patient.owner.execute(
        "SELECT targets FROM agentmem.audit_entries WHERE organization_id = %s AND action = 'memory.repaired'",
        (patient.organization,),
    ).fetchall()
    assert [patient.turns[0].id] in [targets for (targets,) in entries]


async def test_next_turn_of_a_repaired_session_gets_a_place_of_its_own(patient: Patient) -> None:
    patient.hurt(f"UPDATE agentmem.sessions SET last_position = 16 WHERE {OWN}")
    await patient.memory.doctor(repair=True)
    await patient.memory.add({"role": "user", "content": "and the fish is fresh"}, user_id="bo", run_id="move")

    assert (await patient.memory.doctor()).findings == []


UNREPAIRABLE: list[tuple[str, str, FindingCode]] = [
    (
        "flipped byte of a content",
        (
            "UPDATE agentmem.memories SET content = set_byte(content, 40, get_byte(content, 40) # 1) "
            "WHERE memory_id = %(turn)s"
        ),
        FindingCode.CONTENT_DAMAGED,
    ),
    (
        "content of another version",
        (
            "UPDATE agentmem.memories AS m SET content = o.content FROM agentmem.memories AS o "
            "WHERE m.memory_id = %(changed)s AND m.version = 2 AND o.memory_id = m.memory_id AND o.version = 1"
        ),
        FindingCode.CONTENT_DAMAGED,
    ),
    (
        "lost version",
        "DELETE FROM agentmem.memories WHERE memory_id = %(changed)s AND version = 2",
        FindingCode.HISTORY_BROKEN,
    ),
    (
        "version that ends at another time",
        (
            "UPDATE agentmem.memories SET known_until = known_until - interval '1 second' "
            "WHERE memory_id = %(changed)s AND version = 1"
        ),
        FindingCode.HISTORY_BROKEN,
    ),
    (
        "memory without a current version",
        "UPDATE agentmem.memories SET known_until = updated_at WHERE memory_id = %(turn)s",
        FindingCode.HISTORY_BROKEN,
    ),
    (
        "lost audit entry",
        f"DELETE FROM agentmem.audit_entries WHERE {OWN} AND action = 'memory.updated'",
        FindingCode.AUDIT_MISSING,
    ),
    (
        "two memories at one place",
        f"UPDATE agentmem.memories SET place = {PLACE} WHERE memory_id = %(changed)s",
        FindingCode.PLACE_SHARED,
    ),
]


@pytest.mark.parametrize("_,statement,code", UNREPAIRABLE, ids=[name for name, _, _ in UNREPAIRABLE])
async def test_damage_that_nothing_stored_can_mend_is_reported_and_left_alone(
    patient: Patient, _: str, statement: str, code: FindingCode
) -> None:
    patient.hurt(statement)
    report = await patient.memory.doctor(repair=True)

    (finding, *__) = [finding for finding in report.findings if finding.code is code]
    assert not finding.repairable
    assert not report.healthy


async def test_damaged_content_is_named_and_everything_else_is_still_checked(patient: Patient) -> None:
    patient.hurt(UNREPAIRABLE[0][1], f"DELETE FROM agentmem.vectors WHERE {OWN} AND place <> {PLACE}")
    report = await patient.memory.doctor(repair=True)

    assert [(finding.code, finding.memory_id) for finding in report.findings] == [
        (FindingCode.CONTENT_DAMAGED, patient.turns[0].id)
    ]
    assert len(report.repaired) == 6
    assert "violin" not in report.model_dump_json()


async def test_keys_that_do_not_unwrap_are_found(patient: Patient) -> None:
    assert (await patient.memory.doctor()).healthy
    flip = "UPDATE agentmem.encryption_keys SET wrapped = set_byte(wrapped, 30, get_byte(wrapped, 30) # 1)"
    patient.hurt(f"{flip} WHERE {OWN} AND purpose = 'data'")

    assert codes(await patient.memory.doctor()) == {FindingCode.KEYS_UNUSABLE}


async def test_many_memories_are_examined_in_batches_and_told_to_the_progress(memory: AsyncMemory) -> None:
    texts = [f"note {number} about topic {number % 7}" for number in range(230)]
    await memory.add_many(texts, user_id="bulk")
    told: list[int] = []
    report = await memory.doctor(progress=told.append)

    assert report.healthy
    assert (report.versions, sum(told), len(told)) == (230, 230, 3)


async def test_memories_that_are_added_meanwhile_are_not_taken_for_damage(memory: AsyncMemory) -> None:
    await memory.add_many([f"first {number}" for number in range(150)])
    added: list[int] = []

    async def reports() -> AsyncIterator[HealthReport]:
        for number in range(5):
            added.append(len((await memory.add([f"meanwhile {number} {turn}" for turn in range(5)])).memories))
            yield await memory.doctor()

    assert [report.findings async for report in reports()] == [[]] * 5
    assert sum(added) == 25


@contextmanager
def changed(owner: Owner, change: str, restore: str) -> Iterator[None]:
    """Change the server that other tests share, and put it back."""
    owner.execute(change)
    try:
        yield
    finally:
        owner.execute(restore)


@pytest.mark.parametrize(
    "change,restore,code",
    [
        (
            "ALTER TABLE agentmem.memories NO FORCE ROW LEVEL SECURITY",
            "ALTER TABLE agentmem.memories FORCE ROW LEVEL SECURITY",
            FindingCode.ROW_SECURITY_OFF,
        ),
        ("ALTER ROLE agentmem_app BYPASSRLS", "ALTER ROLE agentmem_app NOBYPASSRLS", FindingCode.ROLE_UNRESTRICTED),
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'agentmem.memories_by_place'::regclass",
            "UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'agentmem.memories_by_place'::regclass",
            FindingCode.DATABASE_INDEX_INVALID,
        ),
        (
            SCHEMA.format(revision="9999", oldest="9998"),
            SCHEMA.format(revision=newest_revision(), oldest="0005"),
            FindingCode.SCHEMA_INCOMPATIBLE,
        ),
    ],
)
async def test_server_that_protects_less_than_it_should_is_found(
    memory: AsyncMemory, owner: Owner, change: str, restore: str, code: FindingCode
) -> None:
    with changed(owner, change, restore):
        assert codes(await memory.doctor()) == {code}
    assert (await memory.doctor()).healthy


async def test_server_that_does_not_sync_its_writes_is_found(memory: AsyncMemory, owner: Owner) -> None:
    def applies(value: str) -> bool:
        owner.execute("SELECT pg_reload_conf()")
        row = owner.execute("SELECT current_setting('fsync')").fetchone()
        return row == (value,)

    with changed(owner, "ALTER SYSTEM SET fsync = off", "ALTER SYSTEM RESET fsync"):
        wait_until(lambda: applies("off"))
        assert codes(await memory.doctor()) == {FindingCode.WRITES_NOT_SYNCED}
    wait_until(lambda: applies("on"))


async def test_files_that_others_can_reach_are_found(store: Store, memory: AsyncMemory) -> None:
    folder = store.directory / "log"
    folder.chmod(0o755)
    try:
        report = await memory.doctor()
    finally:
        folder.chmod(0o700)

    assert codes(report) == {FindingCode.PERMISSIONS_OPEN}
    assert str(folder) in report.findings[0].what


async def test_info_describes_the_store_without_its_secrets(store: Store, memory: AsyncMemory) -> None:
    await memory.add("something", user_id="bo")
    info = await memory.info()

    assert (info.server, info.data_directory, info.memories, info.users) == ("embedded", str(store.directory), 1, 1)
    assert info.embedding_model == store.app.models.current.model
    assert info.versions.postgresql.startswith("18")
    assert {key.purpose for key in info.keys} == {"data", "index"}
    assert info.keys[0].provider_key_id in info.master_key_ids
