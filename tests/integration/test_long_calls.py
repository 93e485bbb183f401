"""A call that takes long ends with the key that it was made with, whichever server takes the key away."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from ipaddress import ip_address

import pytest

from agentmem import AsyncMemory
from agentmem.errors import AgentMemError, OrganizationSuspended, PermissionDenied, Unauthenticated
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.state.memory import MemoryState
from agentmem.pipelines.admission.admission import Presented
from agentmem.pipelines.ingestion.pipeline import BATCH
from agentmem.schemas.access import Permission, Role
from agentmem.schemas.base import parse
from agentmem.schemas.keys import ApiKeyPatch, IssuedKey
from agentmem.schemas.memories import Scope
from tests.support.credentials import HOME, Desk, desk_of
from tests.support.patience import eventually
from tests.support.served import client, key_of
from tests.support.stores import Store
from tests.support.tenants import operator_of

LINES = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def desk(memory: AsyncMemory) -> Desk:
    return desk_of(memory.app)


async def long_caller(desk: Desk, key: IssuedKey) -> Caller:
    """Give the caller of a long request with this key."""
    presented = Presented(authorization=f"Bearer {key.key}", address=ip_address(HOME), request_id="request-1")
    caller = (await desk.admission.admit(presented, 1)).caller
    return replace(caller, renewed=partial(desk.admission.readmit, presented))


def line(number: int) -> str:
    return json.dumps({"content": f"memory {number}", "user_id": "stream"})


async def stored(memory: AsyncMemory) -> int:
    return (await memory.stats(user_id="stream")).memories


async def test_import_ends_within_a_second_of_its_key_that_another_server_revokes(memory: AsyncMemory) -> None:
    # Two servers that hear nothing of each other: the one that imports believes a key for less than a second.
    here, elsewhere = desk_of(memory.app), desk_of(memory.app, state=MemoryState())
    key = await here.make(memory.app.caller)

    async def lines() -> AsyncIterator[str]:
        for number in range(2 * BATCH):
            yield line(number)
        assert await stored(memory) == BATCH
        await elsewhere.issuing.revoke(memory.app.caller, key.api_key.id, "stolen")
        here.ticks.seconds += 1
        for number in range(2 * BATCH, 4 * BATCH):
            yield line(number)

    with pytest.raises(Unauthenticated):
        await memory.app.transfer.import_lines(await long_caller(here, key), lines(), {})
    assert await stored(memory) == BATCH


async def test_import_over_rest_is_told_that_its_key_is_no_longer_good(memory: AsyncMemory) -> None:
    text = await key_of(memory)
    key_id = text.split("_")[2]

    async def body() -> AsyncIterator[bytes]:
        for number in range(BATCH + 1):
            yield f"{line(number)}\n".encode()
        await eventually(first_is_there)
        await memory.app.issuing.revoke(memory.app.caller, key_id, "stolen")
        for number in range(BATCH + 1, 3 * BATCH):
            yield f"{line(number)}\n".encode()

    async def first_is_there() -> bool:
        return await stored(memory) == BATCH

    async with client(memory.app, text) as opened:
        # ASGI asks for the body as the server reads it, so that the import is under way between two of its lines.
        answer = await opened.post("/v1/memories/import", content=body(), headers=LINES)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert await stored(memory) == BATCH


async def export(memory: AsyncMemory, caller: Caller, change: AsyncIterator[None]) -> int:
    """Read an export, with something done after its first line, and say how many lines came."""
    read = 0
    async for _ in memory.app.transfer.export(caller, Scope()):
        read += 1
        if read == 1:
            await anext(change)
    return read


async def test_export_ends_with_its_key(memory: AsyncMemory, desk: Desk) -> None:
    elsewhere = desk_of(memory.app, state=MemoryState())
    await memory.add_many([{"content": f"memory {number}"} for number in range(100)])
    key = await desk.make(memory.app.caller)

    async def revoked() -> AsyncIterator[None]:
        await elsewhere.issuing.revoke(memory.app.caller, key.api_key.id, "stolen")
        desk.ticks.seconds += 1
        yield

    with pytest.raises(Unauthenticated):
        await export(memory, await long_caller(desk, key), revoked())


async def test_narrowed_key_loses_what_it_was_doing(memory: AsyncMemory, desk: Desk) -> None:
    await memory.add_many([{"content": f"memory {number}"} for number in range(100)])
    key = await desk.make(memory.app.caller)

    async def narrowed() -> AsyncIterator[None]:
        patch = parse(ApiKeyPatch, {"scopes": [Permission.MEMORY_WRITE]})
        await desk.issuing.update(memory.app.caller, key.api_key.id, patch)
        yield

    with pytest.raises(PermissionDenied, match="memory:read"):
        await export(memory, await long_caller(desk, key), narrowed())


@pytest.mark.parametrize("end", ["suspend", "delete"])
async def test_suspension_and_deletion_reach_a_stream(store: Store, memory: AsyncMemory, desk: Desk, end: str) -> None:
    operator, organization_id = await operator_of(store.app), memory.app.caller.organization_id
    await memory.add_many([{"content": f"memory {number}"} for number in range(100)])
    key = await desk.make(
        memory.app.caller, member_id=await desk.member(memory.app.caller, Role.MEMBER), scopes=["memory:read"]
    )

    async def ended() -> AsyncIterator[None]:
        if end == "suspend":
            await store.app.platform.suspend(operator, organization_id, "unpaid")
        else:
            await store.app.platform.delete(operator, organization_id, 30)
        desk.ticks.seconds += 1
        yield

    with pytest.raises(OrganizationSuspended):
        await export(memory, await long_caller(desk, key), ended())


async def test_deletion_by_scope_and_upkeep_end_with_their_key(memory: AsyncMemory, desk: Desk) -> None:
    await memory.add("still there", user_id="stream")
    key = await desk.make(memory.app.caller)
    caller = await long_caller(desk, key)
    await desk.issuing.revoke(memory.app.caller, key.api_key.id, "stolen")

    calls = (
        lambda: memory.app.ingestion.delete_all(caller, Scope(user_id="stream")),
        lambda: memory.app.upkeep.vacuum(caller, 0),
        lambda: memory.app.upkeep.change_model(caller, "default"),
        lambda: memory.app.doctor.examine(caller, repair=True),
        lambda: memory.app.audit.read(caller, None, 10),
    )
    for call in calls:
        with pytest.raises(AgentMemError) as caught:
            await call()
        assert caught.value.code == "unauthenticated"
    assert await stored(memory) == 1
