"""Events: what was done, told in one order to those who ask, while somebody asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta

import pytest

from agentmem import AsyncMemory
from agentmem.errors import EventsGone, PermissionDenied, Unauthenticated
from agentmem.features.events.service import EventService
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.ledger.audit import Outcome, write_audit_entry
from agentmem.kit.ids import MemoryId, uuid7
from agentmem.pipelines.events.following import Place
from agentmem.schemas.access import Role
from agentmem.schemas.audit import AuditQuery
from agentmem.schemas.events import Event
from tests.support.patience import eventually
from tests.support.stores import Owner
from tests.support.tenants import caller_of


def running() -> bool:
    return False


async def everything(memory: AsyncMemory, after: int = 0) -> list[Event]:
    """Relay what waits, and read the events after a place."""
    await memory.app.events.relay.relay()
    return await memory.app.events.service.read(memory.app.caller, after, 1000)


async def begin(memory: AsyncMemory) -> int:
    return await memory.app.events.service.follow(memory.app.caller, None)


def waiting(owner: Owner, memory: AsyncMemory) -> int:
    statement = "SELECT count(*) FROM agentmem.outbox WHERE organization_id = %s"
    found = owner.execute(statement, [memory.app.caller.organization_id]).fetchone()
    assert found is not None
    return int(str(found[0]))


async def test_nothing_is_written_for_an_organization_that_nobody_follows(memory: AsyncMemory, owner: Owner) -> None:
    await memory.add("one")

    assert waiting(owner, memory) == 0


async def test_what_is_done_becomes_an_event_with_the_ids_it_touched_and_no_content(memory: AsyncMemory) -> None:
    after = await begin(memory)
    added = (await memory.add("Ada likes green tea")).memories[0]
    await memory.delete(added.id)

    first, second = await everything(memory, after)
    entries = (await memory.app.audit.page(memory.app.caller, AuditQuery(target=added.id))).items

    assert [(item.type, item.targets, item.actor) for item in (first, second)] == [
        ("memory.added", [added.id], "local"),
        ("memory.deleted", [added.id], "local"),
    ]
    assert [item.id for item in (first, second)] == [entry.id for entry in entries]
    assert (first.sequence, second.sequence) == (after + 1, after + 2)
    assert "tea" not in first.model_dump_json()


async def test_what_was_denied_is_no_event(memory: AsyncMemory) -> None:
    after = await begin(memory)
    viewer = caller_of(memory, Role.VIEWER)
    memory_id = MemoryId((await memory.add("x")).memories[0].id)
    with pytest.raises(PermissionDenied):
        await memory.app.memories.delete(viewer, memory_id)

    assert [item.type for item in await everything(memory, after)] == ["memory.added"]


async def test_what_was_rolled_back_is_no_event(memory: AsyncMemory, owner: Owner) -> None:
    await begin(memory)

    async def fail() -> None:
        async with memory.app.database.transaction(memory.app.caller) as tx:
            await write_audit_entry(tx, "memory.added", Outcome.DONE)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    assert waiting(owner, memory) == 0


async def test_transaction_that_commits_late_is_not_skipped(memory: AsyncMemory) -> None:
    after = await begin(memory)
    async with memory.app.database.transaction(memory.app.caller) as late:
        await write_audit_entry(late, "memory.purged", Outcome.DONE)
        await memory.add("made later, and there first")
        early = await everything(memory, after)

    assert [item.type for item in early] == ["memory.added"]
    assert [item.type for item in await everything(memory, early[-1].sequence)] == ["memory.purged"]


async def test_several_relays_at_once_give_each_event_one_place(memory: AsyncMemory) -> None:
    after = await begin(memory)
    for number in range(8):
        await memory.add(f"memory {number}")
        await asyncio.gather(*(memory.app.events.relay.relay() for _ in range(4)))

    found = await everything(memory, after)
    assert [item.sequence for item in found] == list(range(after + 1, after + 9))
    assert len({item.id for item in found}) == 8


async def test_event_names_a_thousand_targets_and_says_how_many_more(memory: AsyncMemory) -> None:
    after = await begin(memory)
    async with memory.app.database.transaction(memory.app.caller) as tx:
        tx.touch(uuid7() for _ in range(1003))
        await write_audit_entry(tx, "memory.deleted", Outcome.DONE)

    (event,) = await everything(memory, after)

    assert (len(event.targets), event.more_targets) == (1000, 3)


async def test_reader_goes_on_where_it_was_and_is_told_when_that_is_gone(memory: AsyncMemory) -> None:
    after = await begin(memory)
    for number in range(3):
        await memory.add(f"memory {number}")
    first, _, last = await everything(memory, after)
    service = memory.app.events.service

    assert await service.follow(memory.app.caller, first.sequence) == first.sequence
    for place in (after - 1, last.sequence + 1):
        with pytest.raises(EventsGone):
            await service.follow(memory.app.caller, place)
        with pytest.raises(EventsGone):
            await service.read(memory.app.caller, place, 10)


async def test_events_are_forgotten_after_their_time_and_readers_behind_are_told(memory: AsyncMemory) -> None:
    after = await begin(memory)
    for number in range(3):
        await memory.add(f"memory {number}")
    found = await everything(memory, after)
    later = replace(memory.app.database, ahead=timedelta(hours=72, minutes=1))
    events = replace(memory.app.events, service=EventService(database=later))

    assert await memory.app.events.sweep(memory.app.caller) == 0
    assert await events.sweep(memory.app.caller) == 3

    with pytest.raises(EventsGone):
        await events.service.read(memory.app.caller, found[0].sequence, 10)
    assert await events.service.read(memory.app.caller, found[-1].sequence, 10) == []


async def test_place_from_before_a_time_in_which_nobody_followed_is_gone(memory: AsyncMemory, owner: Owner) -> None:
    after = await begin(memory)
    await memory.add("told")
    (told,) = await everything(memory, after)
    statement = (
        "UPDATE agentmem.event_streams SET followed_until = now() - interval '1 second' WHERE organization_id = %s"
    )
    owner.execute(statement, [memory.app.caller.organization_id])
    await memory.add("not told")
    assert waiting(owner, memory) == 0

    with pytest.raises(EventsGone):
        await memory.app.events.service.follow(memory.app.caller, told.sequence)

    assert await begin(memory) == told.sequence + 1


async def test_reader_without_the_permission_is_refused(memory: AsyncMemory) -> None:
    for role in (Role.MEMBER, Role.VIEWER, Role.SERVICE):
        with pytest.raises(PermissionDenied):
            await memory.app.events.service.follow(caller_of(memory, role), None)


async def test_follower_is_told_of_what_happens_as_it_happens(memory: AsyncMemory) -> None:
    async with following(memory, running) as stream:
        assert isinstance(await anext(stream), Place)
        added = await memory.add("one")
        await memory.app.events.relay.relay()

        event = await anext(stream)

    assert isinstance(event, Event)
    assert event.targets == [added.memories[0].id]


async def test_follower_is_told_of_the_types_it_asked_for(memory: AsyncMemory) -> None:
    async with following(memory, running, types=["memory.deleted"]) as stream:
        await anext(stream)
        added = await memory.add("one")
        await memory.delete(added.memories[0].id)
        await memory.app.events.relay.relay()

        assert getattr(await anext(stream), "type", None) == "memory.deleted"


async def test_follower_who_comes_back_has_every_event_once(memory: AsyncMemory) -> None:
    place, seen = await begin(memory), list[int]()
    for number in range(5):
        await memory.add(f"memory {number}")
        await memory.app.events.relay.relay()
    for _ in range(5):
        async with following(memory, running, after=place) as stream:
            await anext(stream)
            event = await anext(stream)
            assert isinstance(event, Event)
            place = event.sequence
            seen.append(place)

    assert seen == list(range(seen[0], seen[0] + 5))


async def test_stream_ends_when_the_server_stops(memory: AsyncMemory) -> None:
    stopping = asyncio.Event()
    async with following(memory, stopping.is_set) as stream:
        await anext(stream)
        stopping.set()

        assert [item async for item in stream] == []


async def test_stream_ends_when_its_reader_may_read_no_more(memory: AsyncMemory) -> None:
    revoked = asyncio.Event()

    asked = 0

    async def renewed() -> Caller:
        nonlocal asked
        asked += 1
        if revoked.is_set():
            raise Unauthenticated("The key was revoked.")
        return memory.app.caller

    async def asked_often() -> bool:
        return asked > 5

    # It is told so by no message and by no look for events.
    patient = replace(memory.app.events.following, look_again=3600.0)
    caller = replace(memory.app.caller, renewed=renewed)
    async with aclosing(patient.follow(caller, None, ["*"], running)) as stream:
        await anext(stream)
        waiting = asyncio.ensure_future(anext(stream))
        await eventually(asked_often)  # it has looked for events, and waits for more
        revoked.set()

        with pytest.raises(Unauthenticated):
            await waiting


def following(
    memory: AsyncMemory, ended: Callable[[], bool], *, after: int | None = None, types: list[str] | None = None
) -> aclosing[AsyncGenerator[Event | Place, None]]:
    app = memory.app
    return aclosing(app.events.following.follow(app.caller, after, types or ["*"], ended))
