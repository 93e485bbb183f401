from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from agentmem import AsyncMemory
from agentmem.errors import (
    Conflict,
    EmptyScope,
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    VersionConflict,
)
from agentmem.schemas.memories import Kind, MemoryRecord, Message, NewMemory, OnDuplicate, Order, Origin, Role
from tests.support.stores import Store

LONG_AGO = datetime(2020, 2, 29, 12, 30, tzinfo=UTC)


async def add_one(memory: AsyncMemory, content: str, **attributes: object) -> MemoryRecord:
    added = await memory.add(content, **attributes)  # type: ignore[arg-type]  # tests hand attributes on
    return added.memories[0]


async def contents(memory: AsyncMemory, **view: object) -> list[str]:
    page = await memory.list(order=Order.OLDEST, **view)  # type: ignore[arg-type]  # tests hand the view on
    return [record.content for record in page.items]


async def test_added_text_is_read_back_with_all_its_attributes(memory: AsyncMemory) -> None:
    expires = datetime.now(UTC) + timedelta(days=1)
    added = await add_one(
        memory,
        "Ada plays the violin",
        user_id="ada",
        agent_id="tutor",
        run_id="lesson-1",
        app_id="school",
        kind="semantic",
        metadata={"level": 3, "tags": ["music", None, {"deep": True}], "ünï": "çødé"},
        occurred_at=LONG_AGO,
        importance=0.9,
        expires_at=expires,
        pinned=True,
    )
    read = await memory.get(added.id)

    assert read == added
    assert (read.content, read.kind, read.importance, read.pinned) == ("Ada plays the violin", Kind.SEMANTIC, 0.9, True)
    assert (read.user_id, read.agent_id, read.run_id, read.app_id) == ("ada", "tutor", "lesson-1", "school")
    assert read.metadata == {"level": 3, "tags": ["music", None, {"deep": True}], "ünï": "çødé"}
    assert (read.occurred_at, read.expires_at) == (LONG_AGO, expires)
    assert (read.version, read.origin, read.authority) == (1, Origin.OPERATOR, Origin.OPERATOR)
    assert read.created_at == read.updated_at


async def test_memory_without_attributes_gets_the_documented_defaults(memory: AsyncMemory) -> None:
    read = await add_one(memory, "plain")

    assert (read.kind, read.importance, read.pinned, read.metadata) == (Kind.EPISODIC, 0.5, False, {})
    assert (read.user_id, read.agent_id, read.run_id, read.app_id, read.role, read.actor) == (None,) * 6
    assert read.occurred_at <= read.created_at
    assert (read.expires_at, read.superseded_at, read.deleted_at) == (None, None, None)


async def test_messages_keep_who_said_what_and_when(memory: AsyncMemory) -> None:
    added = await memory.add(
        [
            {"role": "user", "name": "Bo", "content": "I moved to Oslo", "occurred_at": "2024-05-01T10:00:00+02:00"},
            {"role": "assistant", "content": "How do you like it?"},
            Message(role=Role.TOOL, content="weather: snow", metadata={"tool": "weather"}),
        ],
        user_id="bo",
        metadata={"source": "chat"},
    )
    first, second, third = added.memories

    assert (first.role, first.actor, first.occurred_at) == ("user", "Bo", datetime(2024, 5, 1, 8, tzinfo=UTC))
    assert (second.role, second.actor, second.origin) == ("assistant", None, Origin.AGENT)
    assert (third.role, third.origin, third.metadata) == ("tool", Origin.TOOL, {"source": "chat", "tool": "weather"})
    assert {record.user_id for record in added.memories} == {"bo"}


async def test_one_add_takes_texts_messages_and_memories_together(memory: AsyncMemory) -> None:
    added = await memory.add(
        [
            "a text",
            {"content": "a memory", "kind": "procedural"},
            NewMemory(content="another", user_id="x"),
            {"role": "user", "content": "a turn"},
        ],
        app_id="mixed",
    )

    assert [record.content for record in added.memories] == ["a text", "a memory", "another", "a turn"]
    assert [record.kind for record in added.memories] == ["episodic", "procedural", "episodic", "episodic"]
    assert len({record.id for record in added.memories}) == 4


async def test_add_stores_all_of_its_items_or_none(memory: AsyncMemory) -> None:
    with pytest.raises(InvalidInput):
        await memory.add(["good", "also good", "   "])

    assert await contents(memory) == []


async def test_same_text_in_the_same_scope_is_stored_once_by_default(memory: AsyncMemory) -> None:
    first = await memory.add("likes tea", user_id="u")
    again = await memory.add("likes tea", user_id="u")

    assert first.duplicates == []
    assert again.duplicates == [first.memories[0].id]
    assert again.memories == first.memories
    assert (await memory.stats(user_id="u")).memories == 1


async def test_same_text_of_another_scope_is_no_duplicate(memory: AsyncMemory) -> None:
    await memory.add("likes tea", user_id="u")
    for scope in ({"user_id": "v"}, {"user_id": "u", "agent_id": "a"}, {"user_id": "u", "run_id": "r"}, {}):
        added = await memory.add("likes tea", **scope)  # type: ignore[arg-type]
        assert added.duplicates == []

    assert (await memory.stats()).memories == 5


async def test_duplicates_are_kept_when_the_caller_says_so(memory: AsyncMemory) -> None:
    await memory.add("likes tea", user_id="u")
    kept = await memory.add("likes tea", user_id="u", on_duplicate="keep")

    assert kept.duplicates == []
    assert (await memory.stats(user_id="u")).memories == 2


async def test_repeated_turns_of_a_conversation_are_all_kept(memory: AsyncMemory) -> None:
    yes = {"role": "user", "content": "yes"}
    kept = await memory.add([yes, yes], user_id="u")
    returned = await memory.add([yes], user_id="w", on_duplicate=OnDuplicate.RETURN)
    again = await memory.add([yes, yes], user_id="w", on_duplicate="return")

    assert len({record.id for record in kept.memories}) == 2
    assert {record.id for record in again.memories} == {returned.memories[0].id}


async def test_text_repeated_within_one_add_is_stored_once(memory: AsyncMemory) -> None:
    added = await memory.add(["echo", "echo", "other"])

    assert added.memories[0].id == added.memories[1].id != added.memories[2].id
    assert (await memory.stats()).memories == 2


async def test_deleted_text_may_be_remembered_anew(memory: AsyncMemory) -> None:
    first = await add_one(memory, "come and gone")
    await memory.delete(first.id)
    second = await memory.add("come and gone")

    assert second.duplicates == []
    assert second.memories[0].id != first.id


async def test_parallel_adds_of_one_text_make_one_memory(memory: AsyncMemory) -> None:
    answers = await asyncio.gather(*(memory.add("at the same time", user_id="u") for _ in range(8)))

    assert len({answer.memories[0].id for answer in answers}) == 1
    assert (await memory.stats(user_id="u")).memories == 1


async def test_request_repeated_with_its_key_is_done_once(memory: AsyncMemory) -> None:
    turn = {"role": "user", "content": "book a table"}
    first = await memory.add([turn, turn], idempotency_key="k-1")
    again = await memory.add([turn, turn], idempotency_key="k-1")

    assert [record.id for record in again.memories] == [record.id for record in first.memories]
    assert (await memory.stats()).memories == 2


async def test_parallel_requests_with_one_key_make_one_memory(memory: AsyncMemory) -> None:
    turn = {"role": "user", "content": "pay the bill"}
    answers = await asyncio.gather(*(memory.add([turn], idempotency_key="pay") for _ in range(8)))

    assert len({answer.memories[0].id for answer in answers}) == 1
    assert (await memory.stats()).memories == 1


async def test_key_used_with_a_changed_request_is_refused(memory: AsyncMemory) -> None:
    await memory.add("the first body", idempotency_key="k")
    for changed in ({"content": "another body"}, {"content": "the first body", "importance": 0.9}):
        with pytest.raises(IdempotencyConflict, match="'k'"):
            await memory.add(changed, idempotency_key="k")

    assert await contents(memory) == ["the first body"]


async def test_keys_of_two_organizations_do_not_meet(store: Store, memory: AsyncMemory) -> None:
    other = await store.organization()
    mine = await memory.add("mine", idempotency_key="same")
    theirs = await other.add("theirs", idempotency_key="same")

    assert mine.memories[0].id != theirs.memories[0].id


async def test_update_changes_what_is_named_and_keeps_the_rest(memory: AsyncMemory) -> None:
    added = await add_one(memory, "lives in Rome", user_id="u", metadata={"a": 1}, importance=0.3)
    updated = await memory.update(added.id, content="lives in Milan", metadata={"b": 2})

    assert (updated.content, updated.metadata, updated.importance, updated.user_id) == (
        "lives in Milan",
        {"b": 2},
        0.3,
        "u",
    )
    assert (updated.version, updated.created_at) == (2, added.created_at)
    assert updated.updated_at > added.updated_at
    assert await memory.get(added.id) == updated


async def test_new_content_is_found_and_the_old_one_is_not(memory: AsyncMemory) -> None:
    added = await add_one(memory, "the password book lies in the drawer")
    await memory.update(added.id, content="the travel guide stands on the shelf")

    assert [hit.memory.id for hit in (await memory.search("shelf", mode="lexical")).hits] == [added.id]
    assert (await memory.search("drawer", mode="lexical")).hits == []


async def test_update_at_an_older_version_is_refused(memory: AsyncMemory) -> None:
    added = await add_one(memory, "v1")
    await memory.update(added.id, content="v2", if_version=1)
    for changes in ({"content": "v3"}, {"pinned": True}):
        with pytest.raises(VersionConflict, match="version 2, not 1"):
            await memory.update(added.id, if_version=1, **changes)

    assert (await memory.get(added.id)).content == "v2"


async def test_parallel_updates_with_a_version_let_one_win(memory: AsyncMemory) -> None:
    added = await add_one(memory, "contested")
    outcomes = await asyncio.gather(
        *(memory.update(added.id, content=f"winner {n}", if_version=1) for n in range(6)), return_exceptions=True
    )

    assert sum(isinstance(outcome, MemoryRecord) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, VersionConflict) for outcome in outcomes) == 5
    assert len(await memory.history(added.id)) == 2


async def test_parallel_updates_without_a_version_are_all_kept_in_the_history(memory: AsyncMemory) -> None:
    added = await add_one(memory, "counted")
    await asyncio.gather(*(memory.update(added.id, importance=n / 10) for n in range(6)))

    assert [change.version for change in await memory.history(added.id)] == [1, 2, 3, 4, 5, 6, 7]


async def test_update_without_a_field_is_refused(memory: AsyncMemory) -> None:
    added = await add_one(memory, "unchanged")
    with pytest.raises(InvalidInput, match="no field"):
        await memory.update(added.id)

    assert (await memory.get(added.id)).version == 1


async def test_pin_and_unpin_are_versions_of_their_own(memory: AsyncMemory) -> None:
    added = await add_one(memory, "keep this")
    assert (await memory.pin(added.id)).pinned
    assert not (await memory.pin(added.id, pinned=False)).pinned

    assert [change.change for change in await memory.history(added.id)] == ["added", "pinned", "unpinned"]


async def test_deleted_memory_is_gone_until_it_is_restored(memory: AsyncMemory) -> None:
    added = await add_one(memory, "a fleeting thought")
    await memory.delete(added.id)

    with pytest.raises(NotFound):
        await memory.get(added.id)
    with pytest.raises(NotFound):
        await memory.update(added.id, pinned=True)
    with pytest.raises(NotFound):
        await memory.delete(added.id)
    assert await contents(memory) == []
    assert (await memory.search("fleeting thought")).hits == []

    restored = await memory.restore(added.id)
    assert (restored.content, restored.deleted_at, restored.version) == ("a fleeting thought", None, 3)
    assert await contents(memory) == ["a fleeting thought"]
    for mode in ("hybrid", "lexical", "semantic"):
        assert [hit.memory.id for hit in (await memory.search("fleeting thought", mode=mode)).hits] == [added.id]


async def test_only_deleted_memories_can_be_restored(memory: AsyncMemory) -> None:
    added = await add_one(memory, "still here")
    with pytest.raises(Conflict):
        await memory.restore(added.id)
    with pytest.raises(NotFound):
        await memory.restore(uuid4())


async def test_history_tells_every_change_oldest_first(memory: AsyncMemory) -> None:
    added = await add_one(memory, "one")
    await memory.update(added.id, content="two")
    await memory.pin(added.id)
    await memory.delete(added.id)
    await memory.restore(added.id)
    history = await memory.history(added.id)

    assert [change.change for change in history] == ["added", "updated", "pinned", "deleted", "restored"]
    assert [change.version for change in history] == [1, 2, 3, 4, 5]
    assert [change.memory.content for change in history] == ["one", "two", "two", "two", "two"]
    assert [change.changed_at for change in history] == sorted(change.changed_at for change in history)
    assert {change.changed_by for change in history} == {"local"}


async def test_delete_all_removes_its_scope_and_nothing_else(memory: AsyncMemory) -> None:
    await memory.add_many([f"note {n}" for n in range(30)], user_id="u", agent_id="a")
    await memory.add("mine", user_id="u")
    await memory.add("theirs", user_id="v", agent_id="a")

    assert (await memory.delete_all(user_id="u", agent_id="a")).deleted == 30
    assert await contents(memory) == ["mine", "theirs"]
    assert (await memory.delete_all(user_id="u", agent_id="a")).deleted == 0


@pytest.mark.parametrize("scope", [{}, {"user_id": None}, {"user_id": None, "run_id": None}])
async def test_delete_all_refuses_an_empty_scope(memory: AsyncMemory, scope: dict[str, None]) -> None:
    await memory.add("precious")
    with pytest.raises(EmptyScope):
        await memory.delete_all(**scope)

    assert await contents(memory) == ["precious"]


async def test_expired_memory_is_seen_by_nobody(memory: AsyncMemory) -> None:
    expires = datetime.now(UTC) + timedelta(milliseconds=600)
    added = await add_one(memory, "a coupon for cake", expires_at=expires)
    assert (await memory.get(added.id)).expires_at == expires
    await asyncio.sleep((expires - datetime.now(UTC)).total_seconds() + 0.01)

    with pytest.raises(NotFound):
        await memory.get(added.id)
    assert await contents(memory) == []
    assert (await memory.search("coupon for cake")).hits == []
    assert (await memory.get(added.id, as_of=added.created_at)).content == "a coupon for cake"


async def test_expiry_is_lifted_by_none(memory: AsyncMemory) -> None:
    added = await add_one(memory, "for now", expires_at=datetime.now(UTC) + timedelta(hours=1))

    assert (await memory.update(added.id, expires_at=None)).expires_at is None


async def test_stats_count_what_the_scope_holds(memory: AsyncMemory) -> None:
    await memory.add(["one", "two"], user_id="u", agent_id="a", run_id="r")
    pinned = await add_one(memory, "three", user_id="v", kind="semantic", pinned=True, occurred_at=LONG_AGO)
    gone = await add_one(memory, "four", user_id="v")
    await memory.update(pinned.id, importance=1)
    await memory.delete(gone.id)
    everything, mine = await memory.stats(), await memory.stats(user_id="u")

    assert (everything.memories, everything.deleted, everything.pinned, everything.versions) == (3, 1, 1, 6)
    assert (everything.users, everything.agents, everything.runs) == (2, 1, 1)
    assert everything.kinds == {"episodic": 2, "semantic": 1}
    assert everything.earliest == LONG_AGO
    assert everything.pending_vectors == 0
    assert (mine.memories, mine.deleted, mine.users) == (2, 0, 1)


@pytest.mark.parametrize("known", ["id of nobody", "id of another organization"])
async def test_unknown_id_is_not_found_by_any_call(store: Store, memory: AsyncMemory, known: str) -> None:
    other = await store.organization()
    foreign = await add_one(other, "not yours")
    memory_id: UUID = uuid4() if known == "id of nobody" else foreign.id

    for call in (
        memory.get(memory_id),
        memory.history(memory_id),
        memory.update(memory_id, pinned=True),
        memory.update(memory_id, content="mine now"),
        memory.delete(memory_id),
        memory.restore(memory_id),
        memory.pin(memory_id),
    ):
        with pytest.raises(NotFound, match=str(memory_id)):
            await call
    assert (await other.get(foreign.id)).content == "not yours"
