"""A person is erased: rows, indexes, key, and at last the bytes; held and restricted persons are not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agentmem import AsyncMemory
from agentmem.errors import Conflict, NotFound
from agentmem.foundation.database.connect import connect_as_owner
from agentmem.foundation.database.known_keys import KnownKeys
from agentmem.foundation.encryption.seal import HEADER_BYTES
from agentmem.schemas.memories import NewMemory, Origin, Source
from agentmem.schemas.privacy import Erasure, SubjectMarks
from tests.support.embedded_server import is_down, wait_until
from tests.support.jobs import working
from tests.support.patience import eventually
from tests.support.stores import Owner, Store
from tests.support.walls import app_over


async def erase(memory: AsyncMemory, user_id: str) -> Erasure:
    """Ask for an erasure, have a worker do it, and give the certificate."""
    app, caller = memory.app, memory.app.caller
    asked = await app.custody.privacy.erase(caller, user_id)
    worker = replace(app.worker, queues=[str(caller.organization_id)], schedules=(), grace=0.0)

    async def finished() -> bool:
        return (await app.custody.privacy.certificate(caller, asked.id)).finished_at is not None

    async with working(worker):
        await eventually(finished)
    return await app.custody.privacy.certificate(caller, asked.id)


async def fill(memory: AsyncMemory) -> None:
    turn = {"role": "user", "name": "Alice", "content": "I keep bees behind the old mill"}
    first = (await memory.add([turn, "and sells their honey"], user_id="alice", run_id="r1")).memories[0]
    await memory.update(first.id, content="I kept bees behind the old mill")
    await memory.delete((await memory.add("once had a goat", user_id="alice")).memories[0].id)
    await memory.add("Bob keeps bees too", user_id="bob")


async def test_an_erased_person_is_nowhere_and_others_are_whole(memory: AsyncMemory, owner: Owner) -> None:
    await fill(memory)
    certificate = await erase(memory, "alice")

    assert certificate.removed["memories"] == 3
    assert certificate.removed["memory_versions"] == 5
    assert certificate.removed["keys"] == 1
    assert "alice" not in certificate.model_dump_json()
    assert (await memory.list(user_id="alice")).items == []
    assert [hit.memory.content for hit in (await memory.search("bees")).hits] == ["Bob keeps bees too"]
    assert (await memory.doctor()).findings == []
    columns = owner.execute(
        "SELECT table_name FROM information_schema.columns WHERE table_schema = 'agentmem' AND column_name = 'user_id'"
    ).fetchall()
    for (table,) in columns:
        left = owner.execute(
            f"SELECT count(*) FROM agentmem.{table} WHERE user_id = 'alice' AND organization_id = %s".encode(),
            [memory.app.caller.organization_id],
        )
        assert left.fetchone() == (0,), table
    keys = owner.execute(
        "SELECT count(*) FROM agentmem_keys.subject_keys WHERE organization_id = %s",
        [memory.app.caller.organization_id],
    )
    assert keys.fetchone() == (1,)
    usage = await memory.app.usage.current(memory.app.caller)
    assert (usage.memories, usage.versions) == (1, 1)


async def test_where_memories_of_an_erased_person_came_from_is_forgotten_with_them(
    memory: AsyncMemory, owner: Owner
) -> None:
    source = Source(origin=Origin.EXTERNAL, uri="https://alice.example/diary")
    first = (await memory.add(NewMemory(content="keeps bees", user_id="alice", source=source))).memories[0]
    derived = Source(origin=Origin.EXTERNAL, uri="https://bob.example", parents=[first.id])
    second = (await memory.add(NewMemory(content="buys honey", user_id="bob", source=derived))).memories[0]
    sealed = owner.execute("SELECT source FROM agentmem.memory_provenance WHERE memory_id = %s", [first.id]).fetchone()
    data_keys = (await memory.app.database.keys(memory.app.caller.organization_id)).keyring.by_header()

    assert (await memory.provenance(first.id)).uri == "https://alice.example/diary"
    assert sealed is not None
    assert bytes(sealed[0])[:HEADER_BYTES] not in data_keys  # type: ignore[call-overload]
    await erase(memory, "alice")
    assert (await memory.provenance(second.id)).parents == []
    for table in ("memory_provenance", "memory_parents"):
        left = owner.execute(
            f"SELECT count(*) FROM agentmem.{table} WHERE organization_id = %s AND memory_id = %s".encode(),
            [memory.app.caller.organization_id, first.id],
        )
        assert left.fetchone() == (0,)


async def test_a_process_that_kept_the_key_seals_by_a_fresh_one_after_the_erasure(
    store: Store, memory: AsyncMemory
) -> None:
    await memory.add("keeps bees", user_id="alice")
    async with app_over(store.app, replace(store.app.database, _keys=KnownKeys())) as other:
        twin = AsyncMemory(organization=memory._settings.organization)
        twin._opened = replace(other, caller=memory.app.caller, settings=memory._settings)
        await twin.add("keeps goats", user_id="alice")
        await erase(memory, "alice")
        again = (await twin.add("came back", user_id="alice")).memories[0]
        assert (await twin.get(again.id)).content == "came back"
    assert [item.content for item in (await memory.list(user_id="alice")).items] == ["came back"]


async def test_nothing_is_written_about_a_person_who_is_being_erased(memory: AsyncMemory) -> None:
    first = (await memory.add("keeps bees", user_id="alice")).memories[0]
    asked = await memory.app.custody.privacy.erase(memory.app.caller, "alice")
    with pytest.raises(Conflict, match="being erased"):
        await memory.add("keeps goats", user_id="alice")
    with pytest.raises(Conflict, match="being erased"):
        await memory.update(first.id, content="keeps wasps")
    await memory.add("keeps goats", user_id="bob")
    assert (await memory.app.custody.privacy.erase(memory.app.caller, "alice")).id == asked.id
    await erase(memory, "alice")
    with pytest.raises(NotFound):
        await memory.get(first.id)


async def test_writers_at_once_with_an_erasure_leave_nothing_that_does_not_open(memory: AsyncMemory) -> None:
    await memory.add("keeps bees", user_id="alice")

    async def write(number: int) -> None:
        for turn in range(8):
            try:
                await memory.add(f"fact {number} {turn}", user_id="alice" if number % 2 else "bob")
            except Conflict:
                await asyncio.sleep(0.02)

    await asyncio.gather(erase(memory, "alice"), *map(write, range(8)))
    report = await memory.doctor()
    assert report.findings == []


async def test_a_held_person_is_not_erased_until_the_hold_is_lifted(memory: AsyncMemory) -> None:
    await memory.add("keeps bees", user_id="alice")
    privacy, caller = memory.app.custody.privacy, memory.app.caller
    await privacy.mark(caller, SubjectMarks(user_id="alice", held=True))
    with pytest.raises(Conflict, match="held"):
        await privacy.erase(caller, "alice")
    assert (await privacy.marks(caller, "alice")).held
    await privacy.mark(caller, SubjectMarks(user_id="alice"))
    assert (await erase(memory, "alice")).removed["memories"] == 1


async def test_a_restricted_person_is_kept_and_neither_read_nor_changed(memory: AsyncMemory) -> None:
    first = (await memory.add("keeps bees", user_id="alice")).memories[0]
    await memory.add("keeps bees", user_id="bob")
    await memory.app.custody.privacy.mark(memory.app.caller, SubjectMarks(user_id="alice", restricted=True))
    with pytest.raises(Conflict, match="restricted"):
        await memory.add("keeps goats", user_id="alice")
    with pytest.raises(NotFound):
        await memory.get(first.id)
    assert {hit.memory.user_id for hit in (await memory.search("who keeps bees?")).hits} == {"bob"}
    assert {item.user_id for item in (await memory.list()).items} == {"bob"}
    await memory.app.custody.privacy.mark(memory.app.caller, SubjectMarks(user_id="alice"))
    assert (await memory.get(first.id)).content == "keeps bees"


def bytes_of(owner: Owner, user_id: str) -> list[bytes]:
    """The exact bytes that are stored of a person: ciphertexts, vectors as the pages hold them, the wrapped key."""
    found = owner.execute(
        """
        SELECT content FROM agentmem.memories WHERE user_id = %(user)s
        UNION ALL SELECT actor FROM agentmem.memories WHERE user_id = %(user)s AND actor IS NOT NULL
        UNION ALL SELECT content_digest FROM agentmem.memories WHERE user_id = %(user)s
        UNION ALL SELECT entry FROM agentmem.index_entries WHERE user_id = %(user)s
        UNION ALL SELECT halfvec_send(embedding) FROM agentmem.vectors WHERE user_id = %(user)s
        UNION ALL SELECT int8send(term) FROM agentmem.postings WHERE user_id = %(user)s
        UNION ALL SELECT wrapped FROM agentmem_keys.subject_keys
            WHERE key_id = (SELECT encode(substring(content, 3, 16), 'hex')::uuid
                            FROM agentmem.memories WHERE user_id = %(user)s LIMIT 1)
        """,
        {"user": user_id},
    ).fetchall()
    blobs = [bytes(blob) for (blob,) in found if isinstance(blob, bytes)]
    # Numbers are sent big endian and stored little endian.
    terms = [blob[::-1] for blob in blobs if len(blob) == 8]
    vectors = [
        b"".join(blob[at + 1 : at - 1 if at else None : -1] or blob[at : at + 2][::-1] for at in range(4, 68, 2))
        for blob in blobs
        if len(blob) > 700 and blob[:2] == (384).to_bytes(2, "big")
    ]
    sealed = [blob for blob in blobs if len(blob) >= 16 and blob[:2] != (384).to_bytes(2, "big")]
    return [*sealed, *vectors, *terms]


def found_in(folder: Path, wanted: list[bytes]) -> dict[bytes, str]:
    """Give which of these bytes are in any file of a folder, and in which."""
    found: dict[bytes, str] = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_socket():
            data = path.read_bytes()
            found |= {one: str(path.relative_to(folder)) for one in wanted if one in data}
    return found


async def test_no_byte_of_an_erased_person_is_left_in_any_file_after_the_window(tmp_path: Path) -> None:
    directory = tmp_path / "store"
    async with AsyncMemory(data_directory=directory, linger=0) as memory:
        await fill(memory)
        await memory.add([f"Bob's fact number {number}" for number in range(30)], user_id="bob")
        with connect_as_owner(memory.app.server) as owner:
            owner.autocommit = True
            # Words that others use as well have the same hashes, and stay.
            wanted = sorted(set(bytes_of(owner, "alice")) - set(bytes_of(owner, "bob")))
            owner.execute("CHECKPOINT")
        before = found_in(directory, wanted)
        certificate = await erase(memory, "alice")
        assert certificate.rewritten_at is None
        assert not await memory.app.custody.privacy.rewrite_due()
        later = replace(memory.app.custody.privacy, database=replace(memory.app.database, ahead=timedelta(days=16)))
        assert await later.rewrite_due()
        certificate = await memory.app.custody.privacy.certificate(memory.app.caller, certificate.id)
        after = found_in(directory, wanted)
        assert len((await memory.list(user_id="bob", limit=100)).items) == 31
    wait_until(lambda: is_down(directory))

    assert len(wanted) > 20
    assert before.keys() == set(wanted)
    assert certificate.rewritten_at is not None
    assert certificate.backups_expire_at is not None
    assert after == {}
    assert found_in(directory, wanted) == {}
