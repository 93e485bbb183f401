"""Who may do what, and what is written down about it: one entry for each write, in the same transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import psycopg
import pytest

from agentmem import AsyncMemory
from agentmem.errors import AgentMemError, InvalidInput, PermissionDenied
from agentmem.foundation.authorization.caller import Caller, Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from tests.support.embedders import BrokenEmbedder
from tests.support.operations import CALLS, DECIDING, Foreign, foreign_of, needed, operations, service_of
from tests.support.stores import Owner, Store

Entry = tuple[object, ...]


def entries(owner: Owner, memory: AsyncMemory) -> list[Entry]:
    """Read an organization's audit entries, oldest first."""
    return owner.execute(
        "SELECT action, outcome, actor, targets, detail FROM agentmem.audit_entries "
        "WHERE organization_id = %s ORDER BY entry_id",
        [memory.app.caller.organization_id],
    ).fetchall()


@dataclass(frozen=True, kw_only=True)
class WatchedDatabase(Database):
    """The real database; it notes which transactions are opened for the operation itself."""

    opened: list[bool]

    @asynccontextmanager
    async def transaction(self, caller: Caller, *, read_only: bool = False) -> AsyncIterator[Transaction]:
        self.opened.append(read_only)
        async with super().transaction(caller, read_only=read_only) as tx:
            yield tx


@pytest.fixture
async def filled(memory: AsyncMemory) -> tuple[AsyncMemory, Foreign]:
    return await with_own_words(memory)


@pytest.fixture(scope="module")
async def untouched(store: Store) -> tuple[AsyncMemory, Foreign]:
    """An organization for callers who are denied: nothing is changed in it but its audit trail."""
    return await with_own_words(await store.organization())


async def with_own_words(memory: AsyncMemory) -> tuple[AsyncMemory, Foreign]:
    """Fill an organization, and give it with what there is in it."""
    return memory, await foreign_of(memory, user_id="u", content="own words", key="own-key")


@pytest.mark.parametrize("name", sorted(operations()))
async def test_caller_without_the_permission_is_denied_and_written_down(
    untouched: tuple[AsyncMemory, Foreign], owner: Owner, name: str
) -> None:
    memory, own = untouched
    permission, audited = needed(name)
    caller = replace(memory.app.caller, permissions=frozenset(Permission) - {permission})
    real = memory.app.database
    watched = WatchedDatabase(
        pool=real.pool,
        key_pool=real.key_pool,
        provider=real.provider,
        tenant_filter=real.tenant_filter,
        opened=[],
    )
    before = entries(owner, memory)
    with pytest.raises(PermissionDenied, match=permission.value):
        await CALLS[name](service_of(name, watched), caller, own)
    new = entries(owner, memory)[len(before) :]

    if audited is None:
        assert (watched.opened, new) == ([], [])
    else:
        assert new == [(audited, "denied", "local", [], {"code": "permission_denied"})]
        assert watched.opened == [False]


@pytest.mark.parametrize("name", sorted(operations()))
async def test_one_permission_is_enough_for_each_operation(
    filled: tuple[AsyncMemory, Foreign], owner: Owner, name: str
) -> None:
    memory, own = filled
    permission, audited = needed(name)
    caller = replace(memory.app.caller, permissions=frozenset({permission}))
    before = entries(owner, memory)
    failed = False
    try:
        await CALLS[name](service_of(name, memory.app.database), caller, own)
    except PermissionDenied:
        raise
    except AgentMemError:
        failed = True
    new = entries(owner, memory)[len(before) :]

    if name in DECIDING:
        assert {entry[0] for entry in new} <= DECIDING[name]
        return
    assert [entry[:3] for entry in new] == ([(audited, "failed" if failed else "done", "local")] if audited else [])


async def test_every_write_has_one_audit_entry_that_names_its_memories(memory: AsyncMemory, owner: Owner) -> None:
    added = (await memory.add(["one", "two"], user_id="u")).memories
    first, second = added[0].id, added[1].id
    await memory.update(first, content="three")
    await memory.pin(first)
    await memory.delete(first)
    await memory.restore(first)
    await memory.delete_all(user_id="u")
    await memory.search("three")
    await memory.list()
    found = [(action, outcome, set(targets)) for action, outcome, _, targets, _ in entries(owner, memory)]  # type: ignore[call-overload]

    assert found == [
        ("organization.registered", "done", set()),
        ("memory.added", "done", {first, second}),
        ("memory.updated", "done", {first}),
        ("memory.updated", "done", {first}),
        ("memory.deleted", "done", {first}),
        ("memory.restored", "done", {first}),
        ("memory.deleted", "done", {first, second}),
        ("memory.deleted", "done", set()),
    ]


async def test_duplicate_is_written_down_without_a_target(memory: AsyncMemory, owner: Owner) -> None:
    await memory.add("once")
    await memory.add("once")

    assert [entry[3] == [] for entry in entries(owner, memory)[1:]] == [False, True]


async def test_failed_write_leaves_one_entry_and_nothing_else(memory: AsyncMemory, owner: Owner) -> None:
    added = (await memory.add("at version one")).memories[0]
    before = entries(owner, memory)
    with pytest.raises(AgentMemError):
        await memory.update(added.id, pinned=True, if_version=7)

    assert entries(owner, memory)[len(before) :] == [
        ("memory.updated", "failed", "local", [], {"code": "version_conflict"})
    ]
    assert len(await memory.history(added.id)) == 1


async def test_input_that_is_refused_before_the_gate_opens_no_transaction(memory: AsyncMemory, owner: Owner) -> None:
    before = entries(owner, memory)
    with pytest.raises(InvalidInput):
        await memory.add("")

    assert entries(owner, memory) == before


async def test_write_that_fails_half_way_leaves_neither_memory_nor_entry(store: Store, owner: Owner) -> None:
    # The rows of the memory are written before its vector, which PostgreSQL refuses.
    memory = await store.with_embedder(BrokenEmbedder())
    before = entries(owner, memory)
    with pytest.raises(psycopg.DataError, match="NaN"):
        await memory.add("half written")

    assert entries(owner, memory) == before
    assert (await memory.stats()).versions == 0
    assert (await memory.search("half written", mode="lexical")).hits == []


async def test_audit_entries_hold_no_content(memory: AsyncMemory, owner: Owner) -> None:
    await memory.add([{"role": "user", "name": "canary-name", "content": "canary-content"}], metadata={"canary-key": 1})

    assert "canary" not in repr(entries(owner, memory))
