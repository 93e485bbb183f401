"""What keys were used for: counted in memory, written down together, and read by its own organization alone."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from agentmem import AsyncMemory
from agentmem.errors import NotFound
from agentmem.features.identity.usage import KeyUsage
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.state.lock import lock
from agentmem.foundation.state.port import PUBLIC
from agentmem.kit.clock import utc_now
from agentmem.pipelines.admission.metering import FLUSHING, Meter
from agentmem.schemas.access import Role
from agentmem.schemas.keys import IssuedKey
from agentmem.schemas.usage import UsageDay
from tests.support.credentials import Desk, desk_of, moved
from tests.support.served import api
from tests.support.stores import Owner, Store


@pytest.fixture
def desk(memory: AsyncMemory) -> Desk:
    return desk_of(memory.app)


async def days_of(memory: AsyncMemory, key: IssuedKey | None = None) -> list[UsageDay]:
    """Read the counts of the last and the next days."""
    usage, today = KeyUsage(database=memory.app.database), utc_now().date()
    since, until = today - timedelta(days=10), today + timedelta(days=10)
    if key is None:
        return await usage.of_organization(memory.app.caller, since, until)
    return await usage.of_key(memory.app.caller, key.api_key.id, since, until)


async def caller_of(desk: Desk, key: IssuedKey) -> Caller:
    return (await desk.present(key)).caller


async def test_requests_are_counted_by_key_route_and_class_of_status(memory: AsyncMemory, desk: Desk) -> None:
    one, other = await desk.make(memory.app.caller), await desk.make(memory.app.caller)
    meter = desk.admission.meter
    for status in (200, 201, 204, 404, 429, 500):
        meter.count(await caller_of(desk, one), "/v1/memories", status, 2)
    meter.count(await caller_of(desk, one), "/v1/me", 200, 1)
    meter.count(await caller_of(desk, other), "/v1/me", 200, 1)
    assert await days_of(memory) == []
    await meter.flush()

    assert sorted((day.route, day.status_class, day.requests, day.cost) for day in await days_of(memory, one)) == [
        ("/v1/me", 2, 1, 1),
        ("/v1/memories", 2, 3, 6),
        ("/v1/memories", 4, 2, 4),
        ("/v1/memories", 5, 1, 2),
    ]
    assert sum(day.requests for day in await days_of(memory)) == 8


async def test_organization_sees_its_keys_counted_together_and_a_year_at_most(memory: AsyncMemory, desk: Desk) -> None:
    keys = [await desk.make(memory.app.caller) for _ in range(2)]
    for key in keys:
        desk.admission.meter.count(await caller_of(desk, key), "/v1/me", 200, 1)
    await desk.admission.meter.flush()
    async with api(memory, role=Role.VIEWER) as viewer:
        report = await viewer.get("/v1/usage")
        refused = await viewer.get("/v1/usage", params={"since": "0001-01-01"})
        year = await viewer.get("/v1/usage", params={"since": "2024-01-01", "until": "2024-12-31"})
    assert [(day["route"], day["requests"]) for day in report.json()["days"]] == [("/v1/me", 2)]
    assert not any(key.api_key.id in report.text for key in keys)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "query.since")
    assert year.status_code == 200


async def test_counts_of_many_servers_and_rounds_add_up(memory: AsyncMemory, desk: Desk) -> None:
    keys = [await desk.make(memory.app.caller) for _ in range(3)]
    servers = [desk_of(memory.app) for _ in range(4)]
    for server in servers:
        for key in keys:
            caller = await caller_of(server, key)
            for _ in range(5):
                server.admission.meter.count(caller, "/v1/me", 200, 1)
    await asyncio.gather(*(server.admission.meter.flush() for server in servers))
    servers[0].admission.meter.count(await caller_of(servers[0], keys[0]), "/v1/me", 200, 1)
    await servers[0].admission.aclose()

    assert sorted([sum(day.requests for day in await days_of(memory, key)) for key in keys]) == [20, 20, 21]


async def test_days_are_counted_apart(memory: AsyncMemory, desk: Desk) -> None:
    key = await desk.make(memory.app.caller)
    tomorrow = desk_of(memory.app, database=moved(memory.app, days=1))
    for server in (desk, tomorrow):
        server.admission.meter.count(await caller_of(server, key), "/v1/me", 200, 1)
        await server.admission.meter.flush()
    first, second = await days_of(memory)

    assert second.day - first.day == timedelta(days=1)
    assert (first.requests, second.requests) == (1, 1)


async def test_last_use_is_the_latest_that_any_server_saw(memory: AsyncMemory, desk: Desk) -> None:
    key = await desk.make(memory.app.caller)
    late = desk_of(memory.app, database=moved(memory.app, seconds=500))
    for server in (late, desk):
        server.admission.meter.count(await caller_of(server, key), "/v1/me", 200, 1)
        await server.admission.meter.flush()
    stored = await desk.keys.get(memory.app.caller, key.api_key.id)

    assert stored.last_used_at is not None
    assert stored.last_used_at > utc_now() + timedelta(seconds=400)
    assert stored.version == key.api_key.version


async def test_callers_without_a_key_are_not_counted(memory: AsyncMemory, desk: Desk) -> None:
    desk.admission.meter.count(memory.app.caller, "/v1/me", 200, 1)
    await desk.admission.meter.flush()

    assert await days_of(memory) == []


async def test_counts_are_kept_while_the_database_is_away(memory: AsyncMemory, desk: Desk, owner: Owner) -> None:
    key = await desk.make(memory.app.caller)
    meter = Meter(KeyUsage(database=memory.app.database), memory.app.state)
    caller = await caller_of(desk, key)
    meter.count(caller, "/v1/me", 200, 1)
    owner.execute("ALTER TABLE agentmem.key_usage RENAME TO key_usage_away")
    owner.execute("CREATE VIEW agentmem.key_usage AS SELECT * FROM agentmem.key_usage_away")
    try:
        await meter.flush()
    finally:
        owner.execute("DROP VIEW agentmem.key_usage")
        owner.execute("ALTER TABLE agentmem.key_usage_away RENAME TO key_usage")
    meter.count(caller, "/v1/me", 200, 1)
    await meter.flush()

    assert [day.requests for day in await days_of(memory)] == [2]


async def test_counts_wait_while_another_process_writes_its_own_down(memory: AsyncMemory, desk: Desk) -> None:
    key, state = await desk.make(memory.app.caller), memory.app.state
    meter = Meter(KeyUsage(database=memory.app.database), state)
    meter.count(await caller_of(desk, key), "/v1/me", 200, 1)
    async with lock(state, PUBLIC, FLUSHING):
        await meter.flush_in_turn(0)
        assert await days_of(memory) == []

    await meter.flush_in_turn(0)

    assert [day.requests for day in await days_of(memory)] == [1]


async def test_counts_belong_to_their_organization_alone(store: Store, memory: AsyncMemory, desk: Desk) -> None:
    key = await desk.make(memory.app.caller)
    desk.admission.meter.count(await caller_of(desk, key), "/v1/me", 200, 1)
    await desk.admission.meter.flush()

    with pytest.raises(NotFound):
        await days_of(await store.organization(), key)
    assert await days_of(await store.organization()) == []


async def test_counts_of_a_key_that_is_no_more_are_left_out(memory: AsyncMemory, desk: Desk, owner: Owner) -> None:
    key = await desk.make(memory.app.caller)
    desk.admission.meter.count(await caller_of(desk, key), "/v1/me", 200, 1)
    owner.execute("DELETE FROM agentmem.api_keys WHERE key_id = %s", [key.api_key.id])
    await desk.admission.meter.flush()

    assert await days_of(memory) == []
