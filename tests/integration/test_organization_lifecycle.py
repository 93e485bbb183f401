"""The states of an organization when several change it at once: each change is decided by what the row then says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace

import pytest

from agentmem import AsyncMemory
from agentmem.errors import AgentMemError, Conflict, NotFound
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.known_keys import KnownKeys
from agentmem.kit.ids import OrganizationId
from agentmem.pipelines.administration.platform import Platform
from agentmem.schemas.organizations import NewOrganization, OrganizationStatus
from tests.support.credentials import moved
from tests.support.patience import eventually
from tests.support.stores import Owner, Store
from tests.support.tenants import operator_of
from tests.support.walls import app_over, rows_of


@pytest.fixture
async def operator(store: Store) -> Caller:
    return await operator_of(store.app)


@pytest.fixture
async def target(store: Store, operator: Caller) -> OrganizationId:
    return OrganizationId((await store.app.platform.create(operator, NewOrganization(name="Acme"))).id)


async def waits(owner: Owner) -> bool:
    """Tell whether somebody waits for a lock of another."""
    row = owner.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone()
    return row is not None and row[0] != 0


async def outcome(call: Awaitable[object]) -> str:
    """Say how a call ends: in a word, and nothing raised."""
    try:
        await call
    except AgentMemError as error:
        return error.code
    return "done"


async def test_suspension_that_waits_for_a_deletion_is_refused(
    store: Store, operator: Caller, target: OrganizationId, owner: Owner
) -> None:
    platform = store.app.platform
    with store.connect_as_owner() as other, other.transaction():
        other.execute(
            "UPDATE agentmem.organization_settings SET status = 'deleting', purge_after = now() + interval '1 day' "
            "WHERE organization_id = %s",
            [target],
        )
        suspending = asyncio.create_task(outcome(platform.suspend(operator, target, "unpaid")))
        await eventually(lambda: waits(owner))

    assert await suspending == "conflict"
    assert (await platform.view(operator, target)).status is OrganizationStatus.DELETING


async def test_organization_is_never_active_while_it_waits_to_be_erased(
    store: Store, operator: Caller, target: OrganizationId
) -> None:
    platform = store.app.platform
    for _ in range(5):
        await asyncio.gather(
            outcome(platform.suspend(operator, target, "unpaid")),
            outcome(platform.delete(operator, target, 1)),
            outcome(platform.resume(operator, target)),
            outcome(platform.restore(operator, target)),
            outcome(platform.delete(operator, target, 2)),
            outcome(platform.suspend(operator, target, "unpaid")),
        )
        found = await platform.view(operator, target)
        assert (found.purge_after is not None) == (found.status is OrganizationStatus.DELETING)


async def test_suspension_outlasts_a_deletion_that_is_taken_back(
    store: Store, operator: Caller, target: OrganizationId
) -> None:
    platform = store.app.platform
    await platform.suspend(operator, target, "unpaid")
    await platform.delete(operator, target, 30)
    await platform.delete(operator, target, 20)
    restored = await platform.restore(operator, target)

    assert (restored.status, restored.status_reason) == (OrganizationStatus.SUSPENDED, "unpaid")
    assert restored.purge_after is None
    assert (await platform.resume(operator, target)).status is OrganizationStatus.ACTIVE
    await platform.delete(operator, target, 30)
    assert (await platform.restore(operator, target)).status is OrganizationStatus.ACTIVE


async def test_deletion_is_not_taken_back_once_its_grace_is_over(
    store: Store, memory: AsyncMemory, operator: Caller
) -> None:
    caller = memory.app.caller
    await store.app.organizations.schedule_deletion(caller, 0)

    with pytest.raises(Conflict, match="was to be erased"):
        await store.app.organizations.cancel_deletion(caller)
    with pytest.raises(Conflict, match="was to be erased"):
        await store.app.platform.restore(operator, caller.organization_id)
    with pytest.raises(Conflict, match="was to be erased"):
        await store.app.platform.delete(operator, caller.organization_id, 30)


async def test_organization_that_is_restored_while_another_is_erased_stays(
    store: Store, operator: Caller, owner: Owner
) -> None:
    first, second = sorted(
        [await store.organization(), await store.organization()], key=lambda memory: memory.app.caller.organization_id
    )
    for memory in (first, second):
        await memory.add("worth keeping")
        await store.app.platform.delete(operator, memory.app.caller.organization_id, 1)
    # The clock of the server that sweeps is ahead of the one that restores.
    async with app_over(store.app, moved(store.app, days=2)) as ahead:
        with store.connect_as_owner() as other, other.transaction():
            for memory in (first, second):
                other.execute(
                    "SELECT FROM agentmem.memories WHERE organization_id = %s FOR UPDATE",
                    [memory.app.caller.organization_id],
                )
            erasing = asyncio.create_task(ahead.sweeper.erase_due())
            await eventually(lambda: waits(owner))
            restored = [
                memory
                for memory in (first, second)
                if await outcome(store.app.platform.restore(operator, memory.app.caller.organization_id)) == "done"
            ]
        await erasing

    (kept,) = restored
    erased = first if kept is second else second
    assert not rows_of(owner, erased.app.caller.organization_id)["memories"]
    assert [hit.memory.content for hit in (await kept.search("keeping")).hits] == ["worth keeping"]


def same_keys(database: Database) -> KnownKeys:
    """Give another process's cache, which holds what this one does."""
    copied = KnownKeys()
    for organization_id in database.known():
        keys = database._keys.get(organization_id)
        if keys is not None:  # not believed for too long already
            copied.put(keys)
    return copied


async def test_erasure_waits_for_who_writes_and_nobody_writes_after_it(store: Store, owner: Owner) -> None:
    memory = await store.organization()
    caller = memory.app.caller
    await memory.add("the first")
    await store.app.organizations.schedule_deletion(caller, 0)
    # Another process, which hears nothing of the erasure and keeps the organization's keys.
    async with app_over(store.app, replace(store.app.database, _keys=same_keys(store.app.database))) as other:
        async with other.database.transaction(caller):
            erasing = asyncio.create_task(store.app.platform.erase(caller.organization_id))
            await eventually(lambda: waits(owner))
            assert not erasing.done()
        assert await erasing

        late = AsyncMemory(organization=memory._settings.organization)
        late._opened = replace(other, caller=caller, settings=memory._settings)
        with pytest.raises(NotFound, match="organization"):
            await late.add("too late")
        assert caller.organization_id not in other.database.known()
    left = rows_of(owner, caller.organization_id)
    assert {name for name, rows in left.items() if rows} == {"organization_directory"}


async def test_keys_of_an_erased_organization_leave_the_memory_of_every_process(
    store: Store, memory: AsyncMemory
) -> None:
    organization_id = memory.app.caller.organization_id
    await memory.add("soon gone")
    async with app_over(store.app, replace(store.app.database, _keys=same_keys(store.app.database))) as other:
        await store.app.organizations.schedule_deletion(memory.app.caller, 0)
        await store.app.platform.erase(organization_id)
        assert organization_id in other.database.known()
        await other.platform.forget_erased()
        assert organization_id not in other.database.known()


async def test_name_is_not_taken_again_while_its_organization_is_being_erased(
    store: Store, memory: AsyncMemory, owner: Owner
) -> None:
    caller = memory.app.caller
    await memory.add("of the first life")
    await store.app.organizations.schedule_deletion(caller, 0)
    with store.connect_as_owner() as other, other.transaction():
        other.execute("SELECT FROM agentmem.memories WHERE organization_id = %s FOR UPDATE", [caller.organization_id])
        erasing = asyncio.create_task(store.app.platform.erase(caller.organization_id))
        await eventually(lambda: waits(owner))
        store.app.database.forget_keys([caller.organization_id])
        await store.app.organizations.register(caller, "second life")
        with pytest.raises(NotFound):
            await store.app.organizations.name(caller)
    assert await erasing
    assert {name for name, rows in rows_of(owner, caller.organization_id).items() if rows} == {"organization_directory"}


async def test_keys_go_on_being_forgotten_when_once_that_breaks_down(store: Store) -> None:
    class Broken(Platform):
        async def forget_erased(self) -> None:
            rounds.append(1)
            raise ZeroDivisionError("a round that nobody thought of")

    async def came_again() -> bool:
        return len(rounds) > 2

    rounds: list[int] = []
    parts = {name: getattr(store.app.platform, name) for name in Platform.__dataclass_fields__}
    sweeper = replace(store.app.sweeper, platform=Broken(**parts), seconds=0.001)
    sweeping = asyncio.create_task(sweeper.keep_forgetting())
    try:
        await eventually(came_again)
        assert not sweeping.done()
    finally:
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
