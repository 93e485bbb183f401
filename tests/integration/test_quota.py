"""What an organization stores is counted as it is written, and does not pass its limits."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from agentmem import AsyncMemory
from agentmem.errors import QuotaExceeded
from agentmem.features.memories.mending import MemoryMending
from agentmem.features.memories.quota import Usage
from agentmem.foundation.authorization.caller import Caller, Limits
from agentmem.kit.ids import MemoryId
from agentmem.pipelines.ingestion.pipeline import Draft
from agentmem.schemas.memories import MemoryPatch, NewMemory, OnDuplicate
from agentmem.schemas.usage import StorageUsage
from tests.support.stores import Owner, Store


async def usage_of(memory: AsyncMemory) -> StorageUsage:
    return await Usage(database=memory.app.database).current(memory.app.caller)


def counted(owner: Owner, memory: AsyncMemory) -> StorageUsage:
    """Count the rows themselves."""
    row = owner.execute(
        "SELECT count(*) FILTER (WHERE known_until IS NULL AND deleted_at IS NULL), count(*), "
        "coalesce(sum(octet_length(content)), 0) FROM agentmem.memories WHERE organization_id = %s",
        [memory.app.caller.organization_id],
    ).fetchone()
    assert row is not None
    return StorageUsage.model_validate(dict(zip(("memories", "versions", "content_bytes"), row, strict=True)))


def limited(memory: AsyncMemory, **limits: int) -> Caller:
    return replace(memory.app.caller, limits=Limits(**limits))


def draft(content: str) -> Draft:
    return Draft(new=NewMemory(content=content), thread=0, on_duplicate=OnDuplicate.RETURN)


async def test_counters_follow_every_kind_of_write(memory: AsyncMemory, owner: Owner, store: Store) -> None:
    assert await usage_of(memory) == StorageUsage(memories=0, versions=0, content_bytes=0)
    ids = [record.id for record in (await memory.add(["one", "two", "three"], user_id="u")).memories]
    await memory.update(ids[0], content="a longer text than before")
    await memory.pin(ids[1])
    await memory.delete(ids[2])
    assert await usage_of(memory) == counted(owner, memory)
    await memory.restore(ids[2])
    await memory.delete_all(user_id="u")
    assert await usage_of(memory) == counted(owner, memory)
    twin = await store.organization()
    await twin.import_([line async for line in memory.export()])
    assert await usage_of(twin) == counted(owner, twin)
    await memory.app.upkeep.memories.purge(memory.app.caller, 0)

    assert await usage_of(memory) == counted(owner, memory) == StorageUsage(memories=0, versions=0, content_bytes=0)


async def test_add_that_fails_counts_nothing(memory: AsyncMemory) -> None:
    await memory.add("one")
    before = await usage_of(memory)
    with pytest.raises(QuotaExceeded):
        await memory.app.ingestion.add(limited(memory, memories=2), [draft("two"), draft("three")])

    assert await usage_of(memory) == before
    assert [record.content for record in (await memory.list()).items] == ["one"]


async def test_64_parallel_adds_at_a_limit_of_10_store_10(memory: AsyncMemory) -> None:
    caller = limited(memory, memories=10)
    answers = await asyncio.gather(
        *(memory.app.ingestion.add(caller, [draft(f"text {number}")]) for number in range(64)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, BaseException)]

    assert {type(answer) for answer in refused} == {QuotaExceeded}
    assert (len(refused), (await memory.stats()).memories) == (54, 10)


async def test_limit_of_memories_says_what_is_used_and_admits_changes_and_duplicates(memory: AsyncMemory) -> None:
    caller = limited(memory, memories=1)
    stored = (await memory.app.ingestion.add(caller, [draft("one")])).memories[0]
    with pytest.raises(QuotaExceeded, match="holds 1 of 1 memories; 1 more"):
        await memory.app.ingestion.add(caller, [draft("two")])
    again = await memory.app.ingestion.add(caller, [draft("one")])
    await memory.app.batches.update_one(caller, MemoryId(stored.id), MemoryPatch(pinned=True))

    assert again.duplicates == [stored.id]


async def test_deleting_makes_room_and_restoring_needs_it(memory: AsyncMemory) -> None:
    caller = limited(memory, memories=1)
    first = (await memory.app.ingestion.add(caller, [draft("one")])).memories[0]
    await memory.app.memories.delete(caller, MemoryId(first.id))
    await memory.app.ingestion.add(caller, [draft("two")])
    with pytest.raises(QuotaExceeded):
        await memory.app.memories.restore(caller, MemoryId(first.id))

    assert [record.content for record in (await memory.list()).items] == ["two"]


async def test_limit_of_bytes_counts_every_version(memory: AsyncMemory) -> None:
    first = (await memory.add("x" * 1000)).memories[0]
    used = (await usage_of(memory)).content_bytes
    caller = limited(memory, storage_bytes=used + used // 2)
    with pytest.raises(QuotaExceeded, match=f"stores {used} of {used + used // 2} bytes"):
        await memory.app.batches.update_one(caller, MemoryId(first.id), MemoryPatch(pinned=True))
    await memory.app.memories.delete(caller, MemoryId(first.id))

    assert (await memory.history(first.id))[-1].change == "deleted"


async def test_doctor_corrects_counters_that_are_wrong(memory: AsyncMemory, owner: Owner) -> None:
    await memory.add(["one", "two"])
    owner.execute(
        "UPDATE agentmem.organization_usage SET memories = 70, versions = -3, content_bytes = 1 "
        "WHERE organization_id = %s",
        [memory.app.caller.organization_id],
    )
    await MemoryMending(database=memory.app.database).recount(memory.app.caller)

    assert await usage_of(memory) == counted(owner, memory)


async def test_counters_are_right_after_parallel_writes_of_every_kind(memory: AsyncMemory, owner: Owner) -> None:
    mending, upkeep, caller = MemoryMending(database=memory.app.database), memory.app.upkeep.memories, memory.app.caller

    async def write(number: int) -> None:
        for step in range(6):
            added = (await memory.add([f"{number} {step} a", f"{number} {step} b"], user_id=f"u{step % 2}")).memories
            await memory.update(added[0].id, content=f"{number} {step} c")
            await memory.delete(added[1].id)

    async def look_after() -> None:
        for _ in range(8):
            await upkeep.purge(caller, 0)
            await mending.recount(caller)

    await asyncio.gather(*(write(number) for number in range(6)), look_after())

    assert await usage_of(memory) == counted(owner, memory)
    assert (await usage_of(memory)).memories == 36
