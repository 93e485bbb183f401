"""A turn whose content or time is corrected stays in its conversation, and what it said before is found by time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from agentmem import AsyncMemory
from agentmem.errors import NotFound, VersionConflict
from agentmem.features.memories.upkeep import Embedded
from agentmem.foundation.inference.port import Embedding
from agentmem.kit.clock import utc_now
from agentmem.kit.ids import Place
from agentmem.schemas.classification import Classification
from agentmem.schemas.memories import MemoryRecord, Scope, SearchMode
from agentmem.schemas.requests import PatchOf
from tests.support.embedders import HashEmbedder
from tests.support.stores import Owner, Store


class InterruptedEmbedder(HashEmbedder):
    """A model that takes so long that something else happens meanwhile."""

    def __init__(self) -> None:
        super().__init__("interrupted@1", 48)
        self.meanwhile: list[Callable[[], Awaitable[object]]] = []

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        while self.meanwhile:
            await self.meanwhile.pop()()
        return await super().embed_documents(texts)


TURNS = [
    {"role": "user", "name": "Bo", "content": "I have news about the violin"},
    {"role": "assistant", "content": "Tell me more, I am curious"},
    {"role": "user", "name": "Bo", "content": "A museum in Oslo bought it"},
    {"role": "assistant", "content": "How wonderful for you"},
    {"role": "user", "name": "Bo", "content": "They will show it in spring"},
]


@pytest.fixture
async def turns(memory: AsyncMemory) -> list[MemoryRecord]:
    await memory.add_many([f"unrelated remark number {number}" for number in range(20)], user_id="bo")
    return (await memory.add(TURNS, user_id="bo", run_id="news")).memories


async def found(memory: AsyncMemory, query: str, mode: SearchMode | str = "lexical", **view: datetime) -> list[str]:
    hits = (await memory.search(query, mode=mode, user_id="bo", **view)).hits  # type: ignore[arg-type]
    return [hit.memory.content for hit in hits]


async def order_of(memory: AsyncMemory) -> list[str]:
    """Give the conversation as an export does: in the order of its turns."""
    lines = await memory.app.transfer.stored.read(memory.app.caller, Scope(run_id="news"), -1, 100)
    assert len({line.exported.thread for line in lines}) == 1
    return [line.exported.versions[-1].memory.content for line in lines]


@pytest.mark.parametrize("change", [{"content": "A gallery in Bergen bought it"}, {"occurred_at": "2024-03-01T00:00Z"}])
async def test_corrected_turn_stays_between_its_neighbours(
    memory: AsyncMemory, turns: list[MemoryRecord], change: dict[str, str]
) -> None:
    await memory.update(turns[2].id, **change)  # type: ignore[arg-type]
    corrected = (await memory.get(turns[2].id)).content

    assert await order_of(memory) == [corrected if n == 2 else turn.content for n, turn in enumerate(turns)]
    # Nothing but its place beside the turns that say these words makes it a candidate of a search by words.
    assert corrected in await found(memory, "curious wonderful")
    assert (await memory.doctor()).findings == []


async def test_old_words_of_a_corrected_turn_count_no_more_for_its_neighbours(
    memory: AsyncMemory, turns: list[MemoryRecord]
) -> None:
    assert turns[1].content in await found(memory, "museum in Oslo")
    await memory.update(turns[2].id, content="A gallery in Bergen bought it")

    assert await found(memory, "museum in Oslo") == []
    assert turns[1].content in await found(memory, "gallery in Bergen")


@pytest.mark.parametrize("mode", list(SearchMode))
async def test_old_words_of_a_corrected_turn_are_found_at_the_time_when_they_stood(
    memory: AsyncMemory, turns: list[MemoryRecord], mode: SearchMode
) -> None:
    first = utc_now()
    await memory.update(turns[2].id, content="A gallery in Bergen bought it")
    second = utc_now()
    await memory.update(turns[2].id, importance=0.9)
    await memory.update(turns[2].id, content="Nobody bought it")

    assert (await found(memory, "Which museum bought it?", mode, known_at=first))[0] == TURNS[2]["content"]
    assert (await found(memory, "Which gallery bought it?", mode, known_at=second))[
        0
    ] == "A gallery in Bergen bought it"
    assert (await found(memory, "Nobody bought it", mode))[0] == "Nobody bought it"
    assert TURNS[2]["content"] not in await found(memory, "Which museum bought it?", mode)
    assert (await memory.doctor()).findings == []


async def test_turns_that_are_corrected_together_keep_their_places(
    memory: AsyncMemory, turns: list[MemoryRecord]
) -> None:
    (alone,) = (await memory.add("a remark of nobody else", user_id="bo")).memories
    changes = [PatchOf(id=record.id, content=f"corrected {n}") for n, record in enumerate([*turns, alone])]
    await memory.app.batches.update(memory.app.caller, changes)

    assert await order_of(memory) == [f"corrected {n}" for n in range(5)]
    assert await found(memory, "violin museum spring") == []
    assert (await memory.doctor()).findings == []


async def test_corrected_turn_can_be_deleted_restored_and_purged(
    memory: AsyncMemory, turns: list[MemoryRecord], owner: Owner
) -> None:
    await memory.update(turns[2].id, content="A gallery in Bergen bought it")
    await memory.delete(turns[2].id)
    assert "A gallery in Bergen bought it" not in await found(memory, "gallery in Bergen")
    await memory.restore(turns[2].id)
    assert (await found(memory, "gallery in Bergen"))[0] == "A gallery in Bergen bought it"
    await memory.delete(turns[2].id)
    await memory.vacuum(purge_after_days=0)

    assert (await memory.doctor()).findings == []
    for table in ("index_entries", "vectors"):
        left = owner.execute(
            f"SELECT count(*) FROM agentmem.{table} WHERE organization_id = %s", [memory.app.caller.organization_id]
        )
        assert left.fetchone() == (24,)


async def test_next_turn_follows_a_corrected_one(memory: AsyncMemory, turns: list[MemoryRecord]) -> None:
    await memory.update(turns[4].id, content="They will show it in autumn")
    await memory.add({"role": "assistant", "content": "I shall visit"}, user_id="bo", run_id="news")

    assert (await order_of(memory))[4:] == ["They will show it in autumn", "I shall visit"]


async def test_session_that_was_lost_is_known_again_by_its_turns_when_one_was_corrected(
    memory: AsyncMemory, turns: list[MemoryRecord], owner: Owner
) -> None:
    await memory.update(turns[4].id, content="They will show it in autumn")
    owner.execute("DELETE FROM agentmem.sessions WHERE organization_id = %s", [memory.app.caller.organization_id])
    assert (await memory.doctor(repair=True)).findings == []
    await memory.add({"role": "assistant", "content": "I shall visit"}, user_id="bo", run_id="news")

    assert (await order_of(memory))[4:] == ["They will show it in autumn", "I shall visit"]


async def test_vectors_made_of_a_text_that_is_corrected_meanwhile_are_not_written(store: Store) -> None:
    memory = await store.with_embedder(HashEmbedder())
    turns = (await memory.add(TURNS, user_id="bo", run_id="news")).memories
    upkeep, other = memory.app.upkeep, HashEmbedder("other@1", 32)
    asked = Embedded(model=other.model, classes=tuple(Classification))
    lacking = await upkeep.memories.lacking(memory.app.caller, asked, Place(-1), 100)
    assert lacking is not None
    made = await upkeep.prepare(memory.app.caller, lacking.versions, other)
    await memory.update(turns[2].id, content="A gallery in Bergen bought it")

    assert await upkeep.memories.complete(memory.app.caller, made) == 4
    assert await upkeep.fill_vectors(memory.app.caller, other) == 2


async def test_entries_repaired_of_a_text_that_is_corrected_meanwhile_are_not_written(store: Store) -> None:
    memory = await store.with_embedder(HashEmbedder())
    turns = (await memory.add(TURNS, user_id="bo", run_id="news")).memories
    stored = await memory.app.transfer.stored.read(memory.app.caller, Scope(), -1, 100)
    mending, embedder = memory.app.doctor.mending, memory.app.models.current
    texts = await mending.texts(memory.app.caller, [line.place for line in stored])
    made = await memory.app.upkeep.prepare(memory.app.caller, texts, embedder)
    await memory.update(turns[2].id, content="A gallery in Bergen bought it")
    await mending.rebuild_entries(memory.app.caller, embedder.model, made)

    assert (await found(memory, "gallery in Bergen"))[0] == "A gallery in Bergen bought it"
    assert (await memory.doctor()).findings == []


async def test_expired_memory_can_be_given_new_content(memory: AsyncMemory) -> None:
    expires = utc_now() + timedelta(milliseconds=300)
    (record,) = (await memory.add("the offer ends soon", user_id="bo", expires_at=expires)).memories
    while utc_now() < expires:
        await memory.stats()
    with pytest.raises(NotFound):
        await memory.get(record.id)
    changed = await memory.update(record.id, content="the offer was prolonged", expires_at=None)

    assert (await memory.get(record.id)) == changed
    assert await found(memory, "prolonged") == ["the offer was prolonged"]


async def test_new_content_is_not_indexed_from_an_older_version_than_it_was_meant_for(store: Store) -> None:
    embedder = InterruptedEmbedder()
    memory = await store.with_embedder(embedder)
    (record,) = (
        await memory.add("the fair opens", user_id="bo", occurred_at=datetime(2023, 5, 1, tzinfo=UTC))
    ).memories
    embedder.meanwhile = [lambda: memory.update(record.id, occurred_at=datetime(2024, 9, 8, tzinfo=UTC))]
    with pytest.raises(VersionConflict, match="is at version 1, not 2"):
        await memory.update(record.id, content="the fair closes", if_version=2)
    embedder.meanwhile = [lambda: memory.update(record.id, occurred_at=datetime(2025, 9, 8, tzinfo=UTC))]
    await memory.update(record.id, content="the fair closes")

    assert await found(memory, "September 2025") == ["the fair closes"]
    assert (await memory.doctor()).findings == []


async def test_turns_may_be_corrected_added_deleted_packed_and_purged_all_at_once(memory: AsyncMemory) -> None:
    upkeep, caller = memory.app.upkeep.memories, memory.app.caller

    async def converse(speaker: int) -> None:
        for step in range(5):
            said = [{"role": "user", "content": f"{speaker} says {step} of {part}"} for part in range(3)]
            turns = (await memory.add(said, user_id=f"u{speaker % 2}", run_id="shared")).memories
            await memory.update(turns[0].id, content=f"{speaker} corrects {step}")
            await memory.update(turns[1].id, content=f"{speaker} takes back {step}")
            await memory.delete(turns[1].id)

    async def look_after() -> None:
        for _ in range(10):
            await upkeep.pack_postings(caller, loose_rows=1)
            await upkeep.purge(caller, 0)
            await memory.app.doctor.mending.recount(caller)

    await asyncio.gather(*(converse(speaker) for speaker in range(5)), look_after(), look_after())
    await upkeep.purge(caller, 0)

    report = await memory.doctor()
    assert (report.findings, report.memories) == ([], 50)
