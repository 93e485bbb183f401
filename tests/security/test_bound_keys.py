"""A key that is bound to a user, an agent, a run or an app touches nothing else, whatever it asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from agentmem import AsyncMemory
from agentmem.errors import NotFound, PermissionDenied
from agentmem.schemas.entities import EntityKind
from agentmem.schemas.memories import MemoryRecord, Scope
from agentmem.schemas.requests import IdAtVersion, PatchOf
from tests.support.credentials import Desk, desk_of

SECRET = "the vault code is kingfisher"
FIELDS = ("user_id", "agent_id", "run_id", "app_id")


@pytest.fixture
def desk(memory: AsyncMemory) -> Desk:
    return desk_of(memory.app)


async def bound_face(memory: AsyncMemory, desk: Desk, **binding: str) -> AsyncMemory:
    """Give the face of whoever holds a key with this binding."""
    caller = await desk.caller(await desk.make(memory.app.caller, binding=binding))
    face = AsyncMemory(data_directory=memory._settings.data_directory)
    face._opened = replace(memory.app, caller=caller)
    return face


async def of_others(memory: AsyncMemory, field: str) -> list[MemoryRecord]:
    """Add memories that a key bound to ``mine`` by this field must not reach: another value, and none."""
    records = []
    for value in ("theirs", None, "mine ", "MINE"):
        ids = {} if value is None else {field: value}
        records += (await memory.add(SECRET, **ids)).memories  # type: ignore[arg-type]
    return records


Attempt = Callable[[AsyncMemory, MemoryRecord], Awaitable[object]]
BY_ID: dict[str, Attempt] = {
    "get": lambda face, record: face.get(record.id),
    "history": lambda face, record: face.history(record.id),
    "update": lambda face, record: face.update(record.id, content="changed"),
    "pin": lambda face, record: face.pin(record.id),
    "delete": lambda face, record: face.delete(record.id),
    "restore": lambda face, record: face.restore(record.id),
    "update_many": lambda face, record: face.app.batches.update(face.app.caller, [PatchOf(id=record.id, pinned=True)]),
    "delete_many": lambda face, record: face.app.batches.delete(face.app.caller, [IdAtVersion(id=record.id)]),
}


@pytest.mark.parametrize("field", FIELDS)
async def test_memories_of_others_are_not_found_by_their_ids(memory: AsyncMemory, desk: Desk, field: str) -> None:
    records = await of_others(memory, field)
    face = await bound_face(memory, desk, **{field: "mine"})
    before = [await memory.history(record.id) for record in records]

    for attempt in BY_ID.values():
        for record in records:
            with pytest.raises(NotFound, match=str(record.id)):
                await attempt(face, record)
    assert [await memory.history(record.id) for record in records] == before


@pytest.mark.parametrize("field", FIELDS)
async def test_what_is_found_and_counted_is_the_keys_own(memory: AsyncMemory, desk: Desk, field: str) -> None:
    records = await of_others(memory, field)
    face = await bound_face(memory, desk, **{field: "mine"})
    own = (await face.add(SECRET)).memories[0]

    assert getattr(own, field) == "mine"
    assert own.id not in {record.id for record in records}
    assert [hit.memory.id for hit in (await face.search("vault code", limit=100)).hits] == [own.id]
    assert [record.id for record in (await face.list(limit=100)).items] == [own.id]
    assert (await face.stats()).memories == 1
    assert SECRET in (await face.context("vault code")).text
    assert str(own.id) in "".join([line async for line in face.export()])
    assert len([line async for line in face.export()]) == 1
    assert await face.duplicates(threshold=0.5) == []
    for kind in EntityKind:
        page = await face.app.entities.page(face.app.caller, kind, Scope(), None, 100)
        assert [(entity.id, entity.memories) for entity in page.items] in ([], [("mine", 1)])


@pytest.mark.parametrize("field", FIELDS)
async def test_asking_for_another_id_is_refused_by_its_name(memory: AsyncMemory, desk: Desk, field: str) -> None:
    await of_others(memory, field)
    face = await bound_face(memory, desk, **{field: "mine"})
    scope = {field: "theirs"}

    attempts: list[Callable[[], Awaitable[object]]] = [
        lambda: face.search("vault", **scope),  # type: ignore[arg-type]
        lambda: face.list(**scope),  # type: ignore[arg-type]
        lambda: face.context("vault", **scope),  # type: ignore[arg-type]
        lambda: face.stats(**scope),
        lambda: face.delete_all(**scope),
        lambda: face.duplicates(**scope),  # type: ignore[arg-type]
        lambda: face.add("theirs now", **scope),  # type: ignore[arg-type]
        lambda: face.import_(['{"content": "theirs now"}'], **scope),  # type: ignore[arg-type]
    ]
    for attempt in attempts:
        with pytest.raises(PermissionDenied, match=field):
            await attempt()
    with pytest.raises(PermissionDenied, match=field):
        _ = [line async for line in face.export(**scope)]
    assert (await memory.stats()).memories == 4


async def test_deleting_everything_deletes_the_keys_own(memory: AsyncMemory, desk: Desk) -> None:
    await of_others(memory, "user_id")
    face = await bound_face(memory, desk, user_id="mine")
    await face.add(SECRET)
    await face.delete_all(user_id="mine")

    assert (await memory.stats()).memories == 4


async def test_idempotency_key_of_another_user_gives_nothing_away(memory: AsyncMemory, desk: Desk) -> None:
    theirs = await bound_face(memory, desk, user_id="theirs")
    mine = await bound_face(memory, desk, user_id="mine")
    secret = (await theirs.add(SECRET, idempotency_key="shared")).memories[0]
    added = (await mine.add(SECRET, idempotency_key="shared")).memories[0]

    assert added.id != secret.id
    assert added.user_id == "mine"


async def test_filters_open_nothing_beyond_the_binding(memory: AsyncMemory, desk: Desk) -> None:
    await of_others(memory, "user_id")
    face = await bound_face(memory, desk, user_id="mine")
    wide = {"or": [{"user_id": "theirs"}, {"not": {"user_id": "mine"}}]}

    assert (await face.list(filters=wide)).items == []
    assert (await face.search("vault", filters=wide)).hits == []


async def test_two_ids_are_both_bound(memory: AsyncMemory, desk: Desk) -> None:
    await memory.add(SECRET, user_id="mine")
    await memory.add(SECRET, user_id="mine", agent_id="theirs")
    await memory.add(SECRET, user_id="theirs", agent_id="mine")
    face = await bound_face(memory, desk, user_id="mine", agent_id="mine")
    own = (await face.add(SECRET, run_id="any")).memories[0]

    assert (own.user_id, own.agent_id, own.run_id) == ("mine", "mine", "any")
    assert [record.id for record in (await face.list()).items] == [own.id]


async def test_history_of_a_memory_that_moved_elsewhere_stays_closed(memory: AsyncMemory, desk: Desk) -> None:
    # An export with its history cannot be brought in by a bound key: its older versions could be of anybody.
    await memory.add(SECRET, user_id="theirs")
    lines = [line async for line in memory.export()]
    face = await bound_face(memory, desk, user_id="mine")

    with pytest.raises(PermissionDenied):
        await face.import_(lines)
    assert (await memory.stats()).memories == 1


async def test_everything_but_memories_is_closed_to_a_bound_key(memory: AsyncMemory, desk: Desk) -> None:
    face = await bound_face(memory, desk, user_id="mine")
    app, caller = face.app, face.app.caller
    attempts: list[Callable[[], Awaitable[object]]] = [
        face.doctor,
        face.vacuum,
        lambda: app.keys.page(caller, None, 10),
        lambda: app.members.page(caller),
        lambda: app.organizations.view(caller),
        lambda: app.audit.verify(caller),
        lambda: app.usage.current(caller),
    ]
    for attempt in attempts:
        with pytest.raises(PermissionDenied):
            await attempt()
