"""The users, agents, runs and apps that an organization's memories name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentmem import AsyncMemory
from agentmem.errors import InvalidCursor, PermissionDenied
from agentmem.features.memories.entities import Entities
from agentmem.foundation.authorization.caller import Binding
from agentmem.schemas.entities import EntityKind
from agentmem.schemas.memories import Scope


def entities_of(memory: AsyncMemory) -> Entities:
    return Entities(database=memory.app.database)


@pytest.fixture
async def filled(memory: AsyncMemory) -> AsyncMemory:
    await memory.add(["a", "b"], user_id="ann", agent_id="helper", run_id="r1")
    await memory.add("c", user_id="Bob", app_id="shop")
    await memory.add("d", user_id="émile", agent_id="helper")
    gone = (await memory.add("e", user_id="zoe")).memories[0]
    await memory.delete(gone.id)
    await memory.add("f")
    return memory


async def seen(memory: AsyncMemory, kind: EntityKind, scope: Scope | None = None) -> list[tuple[str, int]]:
    page = await entities_of(memory).page(memory.app.caller, kind, scope or Scope(), None, 100)
    return [(item.id, item.memories) for item in page.items]


async def test_ids_of_live_memories_are_listed_with_their_counts(filled: AsyncMemory) -> None:
    assert await seen(filled, EntityKind.USERS) == [("Bob", 1), ("ann", 2), ("émile", 1)]
    assert await seen(filled, EntityKind.AGENTS) == [("helper", 3)]
    assert await seen(filled, EntityKind.RUNS) == [("r1", 2)]
    assert await seen(filled, EntityKind.APPS) == [("shop", 1)]


async def test_list_is_narrowed_by_a_scope(filled: AsyncMemory) -> None:
    assert await seen(filled, EntityKind.USERS, Scope(agent_id="helper")) == [("ann", 2), ("émile", 1)]


async def test_first_and_last_seen_are_when_memories_were_added(filled: AsyncMemory) -> None:
    page = await entities_of(filled).page(filled.app.caller, EntityKind.USERS, Scope(user_id="ann"), None, 10)
    records = (await filled.list(user_id="ann")).items

    assert (page.items[0].first_seen, page.items[0].last_seen) == (
        min(record.created_at for record in records),
        max(record.created_at for record in records),
    )


async def test_pages_give_every_id_once(filled: AsyncMemory) -> None:
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = await entities_of(filled).page(filled.app.caller, EntityKind.USERS, Scope(), cursor, 1)
        found += [item.id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break

    assert found == ["Bob", "ann", "émile"]


async def test_cursor_of_another_kind_is_refused(filled: AsyncMemory) -> None:
    page = await entities_of(filled).page(filled.app.caller, EntityKind.USERS, Scope(), None, 1)
    with pytest.raises(InvalidCursor):
        await entities_of(filled).page(filled.app.caller, EntityKind.AGENTS, Scope(), page.next_cursor, 1)


async def test_bound_caller_sees_its_own_ids_alone(filled: AsyncMemory) -> None:
    bound = replace(filled.app.caller, binding=Binding(user_id="ann"))
    users = await entities_of(filled).page(bound, EntityKind.USERS, Scope(), None, 10)
    agents = await entities_of(filled).page(bound, EntityKind.AGENTS, Scope(), None, 10)

    assert [(item.id, item.memories) for item in (*users.items, *agents.items)] == [("ann", 2), ("helper", 2)]
    with pytest.raises(PermissionDenied):
        await entities_of(filled).page(bound, EntityKind.USERS, Scope(user_id="Bob"), None, 10)
