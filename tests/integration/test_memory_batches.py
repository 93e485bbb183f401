"""Changes to many memories at once: all of them are done, or none."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from agentmem import AsyncMemory
from agentmem.errors import AgentMemError, InvalidInput, NotFound, PermissionDenied, VersionConflict
from agentmem.features.memories.batches import MemoryBatches
from agentmem.foundation.authorization.caller import Binding
from agentmem.kit.ids import MemoryId
from agentmem.pipelines.ingestion.batches import Batches
from agentmem.schemas.requests import IdAtVersion, PatchOf


def batches_of(memory: AsyncMemory) -> Batches:
    return Batches(stored=MemoryBatches(database=memory.app.database), ingestion=memory.app.ingestion)


async def three(memory: AsyncMemory) -> list[UUID]:
    return [record.id for record in (await memory.add(["one cat", "two dogs", "three owls"], user_id="u")).memories]


def change(memory_id: UUID, **fields: object) -> PatchOf:
    return PatchOf.model_validate({"id": memory_id, **fields})


async def test_many_memories_are_changed_in_one_call_and_found_by_their_new_words(memory: AsyncMemory) -> None:
    first, second, third = await three(memory)
    changed = await batches_of(memory).update(
        memory.app.caller,
        [change(first, content="one zebra"), change(third, pinned=True), change(second, importance=0.9, if_version=1)],
    )

    assert [(record.id, record.version) for record in changed] == [(first, 2), (third, 2), (second, 2)]
    assert (await memory.get(first)).content == "one zebra"
    assert (await memory.search("zebra")).hits[0].memory.id == first
    assert [entry.change for entry in await memory.history(third)] == ["added", "pinned"]


async def test_one_lost_race_undoes_the_whole_batch(memory: AsyncMemory) -> None:
    first, second, _ = await three(memory)
    for fields in ({"pinned": True}, {"content": "never written"}):
        with pytest.raises(VersionConflict, match="version 1, not 7"):
            await batches_of(memory).update(
                memory.app.caller, [change(first, **fields), change(second, if_version=7, **fields)]
            )
    with pytest.raises(VersionConflict):
        await batches_of(memory).delete(
            memory.app.caller, [IdAtVersion(id=first), IdAtVersion(id=second, if_version=7)]
        )

    assert [record.version for record in (await memory.list()).items] == [1, 1, 1]


async def test_unknown_or_deleted_memory_undoes_the_whole_batch(memory: AsyncMemory) -> None:
    first, second, _ = await three(memory)
    await memory.delete(second)
    for absent in (uuid4(), second):
        with pytest.raises(NotFound, match=str(absent)):
            await batches_of(memory).update(
                memory.app.caller, [change(first, pinned=True), change(absent, pinned=True)]
            )
        with pytest.raises(NotFound, match=str(absent)):
            await batches_of(memory).delete(memory.app.caller, [IdAtVersion(id=first), IdAtVersion(id=absent)])

    assert not (await memory.get(first)).pinned


async def test_batch_that_names_a_memory_twice_is_refused(memory: AsyncMemory) -> None:
    first, *_ = await three(memory)
    with pytest.raises(InvalidInput, match="2 times"):
        await batches_of(memory).update(memory.app.caller, [change(first, pinned=True), change(first, pinned=False)])
    with pytest.raises(InvalidInput, match="2 times"):
        await batches_of(memory).delete(memory.app.caller, [IdAtVersion(id=first)] * 2)


async def test_many_memories_are_deleted_in_one_call(memory: AsyncMemory) -> None:
    first, second, third = await three(memory)
    deleted = await batches_of(memory).delete(
        memory.app.caller, [IdAtVersion(id=third), IdAtVersion(id=first, if_version=1)]
    )

    assert deleted == 2
    assert [record.id for record in (await memory.list()).items] == [second]
    assert await batches_of(memory).delete(memory.app.caller, []) == 0


async def test_batch_of_a_bound_caller_reaches_no_other_memories(memory: AsyncMemory) -> None:
    (first, *_) = await three(memory)
    theirs = (await memory.add("four bees", user_id="v")).memories[0].id
    bound = replace(memory.app.caller, binding=Binding(user_id="u"))
    for fields in ({"pinned": True}, {"content": "x"}):
        with pytest.raises(NotFound, match=str(theirs)):
            await batches_of(memory).update(bound, [change(first, **fields), change(theirs, **fields)])
    with pytest.raises(NotFound, match=str(theirs)):
        await batches_of(memory).delete(bound, [IdAtVersion(id=first), IdAtVersion(id=theirs)])

    assert {record.version for record in (await memory.list()).items} == {1}


async def test_parallel_batches_over_the_same_memories_neither_wait_for_ever_nor_lose_a_change(
    memory: AsyncMemory,
) -> None:
    ids = await three(memory)
    answers = await asyncio.gather(
        *(
            batches_of(memory).update(
                memory.app.caller, [change(item, importance=number / 10) for item in (ids if number % 2 else ids[::-1])]
            )
            for number in range(8)
        ),
        return_exceptions=True,
    )

    assert not [answer for answer in answers if isinstance(answer, BaseException)]
    assert {record.version for record in (await memory.list()).items} == {9}


async def test_delete_and_restore_check_the_version_they_are_given(memory: AsyncMemory) -> None:
    first = MemoryId((await three(memory))[0])
    caller, service = memory.app.caller, memory.app.memories
    with pytest.raises(VersionConflict):
        await service.delete(caller, first, 2)
    await service.delete(caller, first, 1)
    with pytest.raises(VersionConflict):
        await service.restore(caller, first, 1)

    assert (await service.restore(caller, first, 2)).version == 3


async def test_caller_without_the_right_changes_nothing(memory: AsyncMemory) -> None:
    first, *_ = await three(memory)
    reader = replace(memory.app.caller, permissions=frozenset())
    with pytest.raises(PermissionDenied):
        await batches_of(memory).update(reader, [change(first, pinned=True)])
    with pytest.raises(AgentMemError):
        await batches_of(memory).delete(reader, [IdAtVersion(id=first)])

    assert (await memory.get(first)).version == 1
