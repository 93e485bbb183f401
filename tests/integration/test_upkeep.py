from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from agentmem import AsyncMemory
from agentmem.features.memories.index_writing import change_statistics
from agentmem.features.memories.packing import read_rows
from agentmem.features.memories.quota import Used, usage_rows
from agentmem.features.memories.upkeep import MemoryUpkeep
from agentmem.foundation.authorization.roles import ROLES
from agentmem.schemas.access import Role
from tests.support.children import next_line, python_child
from tests.support.embedders import FlakyEmbedder, HashEmbedder
from tests.support.stores import Owner, Store

PACKER = """
import asyncio, sys
from agentmem import AsyncMemory

async def main():
    async with AsyncMemory(data_directory=sys.argv[1], organization=sys.argv[2], linger=0.5) as memory:
        print("open", flush=True)
        upkeep, caller = memory.app.upkeep.memories, memory.app.caller
        for _ in range(60):
            after, step = await upkeep.pack_postings(caller, loose_rows=1)
            while after is not None:
                after, step = await upkeep.pack_postings(caller, after, loose_rows=1)
            await asyncio.sleep(0.01)
    print("done", flush=True)

asyncio.run(main())
"""


KEEPER = """
import sys
from agentmem import Memory

with Memory(data_directory=sys.argv[1], organization=sys.argv[2], linger=0.5) as memory:
    for number in range(1000):
        added = memory.add([f"{word} of round {number}" for word in ("dawn", "noon", "dusk")], user_id="bo").memories
        memory.update(added[0].id, content=f"sunrise of round {number}")
        memory.delete(added[1].id)
        memory.vacuum(purge_after_days=0)
        print(number, flush=True)
"""


async def posting_rows(memory: AsyncMemory) -> int:
    """Count the rows that hold the organization's postings."""
    database = memory.app.database
    async with database.transaction(memory.app.caller, read_only=True) as tx:
        return sum([len(rows) async for rows in read_rows(tx)])


async def pack(upkeep: MemoryUpkeep, memory: AsyncMemory, loose_rows: int) -> int:
    packed = 0
    after, step = await upkeep.pack_postings(memory.app.caller, loose_rows=loose_rows)
    while after is not None:
        packed += step
        after, step = await upkeep.pack_postings(memory.app.caller, after, loose_rows)
    return packed


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    while not await condition():  # noqa: ASYNC110  # the condition is another process's, which sets no event
        await asyncio.sleep(0.05)


async def test_packing_merges_rows_and_changes_no_answer(memory: AsyncMemory) -> None:
    for number in range(30):
        await memory.add(f"the ferry to island {number} was late", user_id="bo")
    before, rows = await memory.search("ferry island 7", user_id="bo"), await posting_rows(memory)
    packed, _ = await memory.app.upkeep.tidy(memory.app.caller)

    assert packed > 0
    assert await posting_rows(memory) < rows
    after = await memory.search("ferry island 7", user_id="bo")
    assert [hit.memory.id for hit in after.hits] == [hit.memory.id for hit in before.hits]
    assert (await memory.doctor()).healthy
    assert (await memory.app.upkeep.tidy(memory.app.caller))[0] == 0


async def test_packing_adding_and_purging_at_the_same_time_lose_nothing(store: Store, memory: AsyncMemory) -> None:
    caller, upkeep = memory.app.caller, memory.app.upkeep.memories
    adding = asyncio.Event()

    async def add(user: str) -> None:
        for number in range(12):
            added = await memory.add([f"shared words of {user} {number}", f"short {number}"], user_id=user)
            await memory.delete(added.memories[1].id)

    async def tidy(step: Callable[[], Awaitable[int]]) -> None:
        while not adding.is_set():
            await step()
        await step()

    tidying = [
        asyncio.create_task(tidy(lambda: pack(upkeep, memory, 1))),
        asyncio.create_task(tidy(lambda: pack(upkeep, memory, 1))),
        asyncio.create_task(tidy(lambda: upkeep.purge(caller, 0))),
        asyncio.create_task(tidy(lambda: upkeep.purge(caller, 0))),
    ]
    await asyncio.gather(add("ada"), add("bo"))
    adding.set()
    await asyncio.gather(*tidying)

    assert (await memory.doctor()).findings == []
    assert (await memory.stats()).memories == 24
    assert (await memory.stats()).deleted == 0
    assert len((await memory.search("shared words", limit=50, mode="lexical", user_id="ada")).hits) == 12


async def test_two_processes_may_pack_while_others_add(store: Store) -> None:
    memory = await store.organization()
    organization = memory.app.settings.organization
    packer = partial(python_child, PACKER, store.directory, organization)
    with packer() as one, packer() as other:
        assert next_line(one) == next_line(other) == "open"
        for number in range(20):
            await memory.add(f"word {number} again and again", user_id="bo")
        assert (next_line(one), next_line(other)) == ("done", "done")

    assert (await memory.doctor()).findings == []


async def test_purged_memories_leave_nothing_behind_and_others_stay(memory: AsyncMemory, owner: Owner) -> None:
    kept, gone = (await memory.add(["the red bicycle is mine", "the blue bicycle is stolen"], user_id="bo")).memories
    await memory.update(gone.id, content="the blue bicycle was found")
    await memory.delete(gone.id)
    done = await memory.vacuum(purge_after_days=0)

    assert done.purged_memories == 1
    organization = memory.app.caller.organization_id
    for table in ("memories", "vectors", "index_entries"):
        found = owner.execute(f"SELECT count(*) FROM agentmem.{table} WHERE organization_id = %s", (organization,))
        assert found.fetchone() == (1,)
    assert [hit.memory.id for hit in (await memory.search("bicycle", user_id="bo")).hits] == [kept.id]
    assert (await memory.doctor()).findings == []


async def test_purge_removes_postings_that_its_text_does_not_tell(memory: AsyncMemory, owner: Owner) -> None:
    (gone,) = (await memory.add("the kettle whistles", user_id="bo")).memories
    await memory.add("another kettle", user_id="bo")
    organization = memory.app.caller.organization_id
    owner.execute(
        "UPDATE agentmem.postings SET term = term + 1 WHERE ctid = "
        "(SELECT ctid FROM agentmem.postings WHERE organization_id = %s AND first_place = "
        "(SELECT place FROM agentmem.memories WHERE memory_id = %s) LIMIT 1)",
        (organization, gone.id),
    )
    await memory.delete(gone.id)
    await memory.vacuum(purge_after_days=0)

    assert (await memory.doctor()).findings == []


async def test_memories_deleted_lately_are_not_purged(memory: AsyncMemory) -> None:
    (record,) = (await memory.add("may come back")).memories
    await memory.delete(record.id)

    assert (await memory.vacuum()).purged_memories == 0
    assert (await memory.restore(record.id)).content == "may come back"


async def test_memory_that_is_restored_while_it_is_purged_stays(memory: AsyncMemory, owner: Owner) -> None:
    (record,) = (await memory.add("restored at the last moment")).memories
    await memory.delete(record.id)
    with owner.transaction():
        owner.execute(
            "UPDATE agentmem.memories SET deleted_at = NULL WHERE memory_id = %s AND known_until IS NULL", (record.id,)
        )
        purging = asyncio.create_task(memory.app.upkeep.purge(memory.app.caller, 0))

        async def waits() -> bool:
            row = owner.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
            return row != (0,)

        await eventually(waits)

    assert await purging == 0
    assert (await memory.get(record.id)).content == "restored at the last moment"


@pytest.mark.parametrize("rounds", [1, 2, 4])
async def test_killed_upkeep_leaves_the_store_whole(store: Store, rounds: int) -> None:
    memory = await store.organization()
    with python_child(KEEPER, store.directory, memory.app.settings.organization) as child:
        for _ in range(rounds):
            next_line(child)
        await asyncio.sleep(0.07 * rounds)
        child.kill()
        child.wait()

    report = await memory.doctor()
    assert report.findings == []
    assert report.memories >= 2 * rounds


async def test_idempotency_keys_are_forgotten_after_a_day(memory: AsyncMemory, owner: Owner) -> None:
    await memory.add("told once", idempotency_key="old")
    await memory.add("told twice", idempotency_key="new")
    organization = memory.app.caller.organization_id
    owner.execute(
        "UPDATE agentmem.idempotency_keys SET created_at = now() - interval '25 hours' "
        "WHERE organization_id = %s AND key = 'old'",
        (organization,),
    )

    assert (await memory.vacuum()).removed_idempotency_keys == 1
    left = owner.execute("SELECT key FROM agentmem.idempotency_keys WHERE organization_id = %s", (organization,))
    assert left.fetchall() == [("new",)]


async def test_vectors_that_a_failed_embedder_owes_are_made_after_the_next_opening(store: Store) -> None:
    flaky = FlakyEmbedder(store.app.models.current)
    memory = await store.with_embedder(flaky)
    flaky.down = True
    added = await memory.add(["the lighthouse keeper retired", "he grows tomatoes"], user_id="bo")
    await memory.delete(added.memories[1].id)
    assert added.pending
    report = await memory.doctor()
    assert (report.healthy, report.pending_vectors) == (True, 2)

    organization = memory.app.settings.organization
    async with AsyncMemory(data_directory=store.directory, organization=organization, linger=0.5) as opened:

        async def filled() -> bool:
            return (await opened.doctor()).pending_vectors == 0

        await eventually(filled)
        assert (await opened.doctor()).findings == []
        found = await opened.search("lighthouse", user_id="bo", mode="semantic")
        assert [hit.memory.id for hit in found.hits] == [added.memories[0].id]


async def test_store_opens_and_closes_while_its_embedder_owes_vectors(store: Store) -> None:
    flaky = FlakyEmbedder(store.app.models.current)
    flaky.down = True
    memory = await store.with_embedder(flaky)
    await memory.add_many([f"owed {number}" for number in range(40)])
    for _ in range(3):
        async with AsyncMemory(
            data_directory=store.directory, organization=memory.app.settings.organization, linger=0.5
        ) as opened:
            assert (await opened.stats()).memories == 40


async def test_long_tail_of_vectors_of_any_length_is_moved_into_a_graph(store: Store, owner: Owner) -> None:
    memory = await store.with_embedder(HashEmbedder())
    await memory.add_many((f"item {number} of the long list" for number in range(5_050)), user_id="bo")
    await memory.app.upkeep.tidy(memory.app.caller)

    made = owner.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'vectors_graph_48'").fetchone()
    assert made is not None
    assert "hnsw" in str(made[0])
    outside = owner.execute(
        "SELECT count(*) FROM agentmem.vectors WHERE organization_id = %s AND graph IS DISTINCT FROM 48",
        (memory.app.caller.organization_id,),
    )
    assert outside.fetchone() == (0,)
    found = await memory.search("item 4321 of the long list", user_id="bo", mode="semantic", limit=3)
    assert found.hits[0].memory.content == "item 4321 of the long list"


async def test_vacuum_says_what_it_did(memory: AsyncMemory, store_directory: Path) -> None:
    await memory.add("one thing")
    done = await memory.vacuum()

    assert (done.purged_memories, done.vectors_moved_to_graph) == (0, 0)
    assert done.bytes_before > 0
    assert done.bytes_after > 0


async def test_vacuum_of_one_who_does_not_manage_the_platform_leaves_the_tables_of_others_alone(
    memory: AsyncMemory, owner: Owner
) -> None:
    def vacuumed() -> object:
        statement = "SELECT sum(vacuum_count) FROM pg_stat_user_tables WHERE schemaname = 'agentmem'"
        return owner.execute(statement).fetchone()

    admin = replace(memory.app.caller, permissions=ROLES[Role.ADMIN])
    gone = (await memory.add("one thing")).memories[0]
    await memory.delete(gone.id)
    before = vacuumed()
    done = await memory.app.upkeep.vacuum(admin, 0)

    assert (done.purged_memories, done.bytes_before, done.bytes_after) == (1, 0, 0)
    assert vacuumed() == before
    await memory.vacuum()
    assert vacuumed() != before


async def test_counts_are_corrected_while_others_write(store: Store, memory: AsyncMemory, owner: Owner) -> None:
    await memory.add("one thing", user_id="bo")
    other = await store.organization()
    for table, column in (("organization_usage", "content_bytes"), ("scope_statistics", "length")):
        statement = f"UPDATE agentmem.{table} SET {column} = {column} + 1 WHERE organization_id = %s"
        assert owner.execute(statement, [memory.app.caller.organization_id]).rowcount == 1
    async with other.app.database.transaction(other.app.caller) as tx, asyncio.timeout(60):
        await change_statistics(tx, {"bo": (0, 0)}, usage_rows(Used(memories=0, versions=0, content_bytes=0)))
        await memory.app.doctor.mending.recount(memory.app.caller)

    assert (await memory.doctor()).findings == []
