"""The end of an organization: nothing of it is left but its id and the time, and nothing of another is gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from psycopg import sql

from agentmem import AsyncMemory
from agentmem.errors import ConfigurationError, NotFound
from agentmem.features.identity.federation.model import Identity
from agentmem.features.identity.usage import KeyCount
from agentmem.features.webhooks.delivery import WebhookDeliveries
from agentmem.foundation.authorization.caller import Caller, service_caller
from agentmem.foundation.database.connect import connect_as_owner
from agentmem.foundation.database.tables import SCHEMA, metadata
from agentmem.foundation.outbound.port import Outcome
from agentmem.kit.ids import AccountId, OrganizationId, uuid7
from agentmem.pipelines.signing_in.single import sso_caller
from agentmem.schemas.keys import NewApiKey
from agentmem.schemas.privacy import SubjectMarks
from tests.support.foreign import foreign_of
from tests.support.patience import eventually
from tests.support.stores import Owner, Store
from tests.support.tenants import operator_of

KEPT = "organization_directory"


def counts(owner: Owner, organization_id: OrganizationId) -> dict[str, int]:
    found: dict[str, int] = {}
    for table in metadata.tables.values():
        statement = sql.SQL("SELECT count(*) FROM {} WHERE organization_id = %s").format(
            sql.Identifier(SCHEMA, table.name)
        )
        row = owner.execute(statement, [organization_id]).fetchone()
        found[table.name] = 0 if row is None else int(str(row[0]))
    return found


async def fill(store: Store, memory: AsyncMemory) -> Caller:
    """Give an organization a row in every table that it can have one in."""
    app, caller = memory.app, memory.app.caller
    foreign = await foreign_of(memory, user_id="u", content="all about herons", key="once")
    await memory.add("made of another", user_id="u", source={"parents": [foreign.live]})
    await app.events.relay.relay()
    service, deliveries = service_caller(caller.organization_id), WebhookDeliveries(database=app.database)
    for sending in await deliveries.take(service, foreign.webhook_id, 1):
        await deliveries.note(service, sending, Outcome(status=204, duration_ms=1))
    issued = await app.issuing.create(caller, NewApiKey(name="parent"))
    count = KeyCount(
        key_id=issued.api_key.id,
        day=date(2026, 1, 1),
        route="/v1/me",
        status_class=2,
        requests=1,
        cost=1,
        last_used_at=datetime.now(UTC),
    )
    await app.key_usage.record(caller.organization_id, [count])
    await app.requests.begin(caller, "/v1/memories", "a key", b"digest", lease=60)
    await app.database.fenced(caller, "some work")
    with store.connect_as_owner() as connection:
        # What the platform alone writes, whose accounts they are of.
        own = (caller.organization_id, foreign.account_id)
        connection.execute("INSERT INTO agentmem.factor_failures VALUES (%s, %s, 1)", own)
        challenge = "(%s, 'digest', %s, gen_random_uuid(), 'owner', '{}', now(), now())"
        connection.execute(f"INSERT INTO agentmem.sign_in_challenges VALUES {challenge}".encode(), own)
        # Entries are sealed once they are a few seconds old, which no test waits for.
        connection.execute(
            "UPDATE agentmem.audit_entries SET at = at - interval '1 minute' WHERE organization_id = %s",
            [caller.organization_id],
        )
    await app.audit.seal(caller)
    await app.single.federation.set_secret(caller, "a secret")
    vouched = sso_caller(caller.organization_id, None)
    await app.single.federation.link(vouched, Identity(issuer="https://a.example", subject="b"), AccountId(uuid7()))
    await app.custody.privacy.mark(caller, SubjectMarks(user_id="gone", held=False, restricted=False))
    await app.custody.privacy.erase(caller, "nobody")
    assert foreign.key_id
    return caller


async def test_erased_organization_leaves_its_id_and_nothing_else(
    store: Store, memory: AsyncMemory, owner: Owner
) -> None:
    neighbour = await store.organization()
    await fill(store, neighbour)
    caller = await fill(store, memory)
    others = counts(owner, neighbour.app.caller.organization_id)
    filled = counts(owner, caller.organization_id)
    operator = await operator_of(store.app)
    await store.app.platform.delete(operator, caller.organization_id, 0)
    erased = await store.app.sweeper.erase_due()

    assert [name for name, count in filled.items() if count == 0] == []
    assert erased == 1
    left = counts(owner, caller.organization_id)
    assert left.pop(KEPT) == 1
    assert set(left.values()) == {0}
    assert counts(owner, neighbour.app.caller.organization_id) == others
    with pytest.raises(NotFound):
        await store.app.database.keys(caller.organization_id)


async def test_erasing_again_finds_nothing_to_do(store: Store, memory: AsyncMemory) -> None:
    organization_id = memory.app.caller.organization_id
    await memory.add("soon gone")
    await store.app.organizations.schedule_deletion(memory.app.caller, 0)

    assert await store.app.platform.erase(organization_id)
    assert not await store.app.platform.erase(organization_id)
    assert organization_id not in await store.app.platform.service.due()


async def test_organization_that_is_not_being_deleted_is_not_erased(
    store: Store, memory: AsyncMemory, owner: Owner
) -> None:
    await memory.add("to stay")

    assert not await store.app.platform.erase(memory.app.caller.organization_id)
    assert counts(owner, memory.app.caller.organization_id)["memories"] == 1


async def test_name_of_an_erased_organization_can_be_used_again(store: Store, memory: AsyncMemory) -> None:
    caller = memory.app.caller
    await memory.add("of the first life")
    await store.app.organizations.schedule_deletion(caller, 0)
    await store.app.platform.erase(caller.organization_id)
    await store.app.organizations.register(caller, "second life")
    await store.app.upkeep.memories.active_model(caller, store.app.models.current.model)
    await memory.add("of the second life")

    assert [item.content for item in (await memory.list()).items] == ["of the second life"]
    assert caller.organization_id in await store.app.platform.service.all_ids(None, 10_000)


async def test_organization_is_kept_while_its_grace_lasts(store: Store, memory: AsyncMemory, owner: Owner) -> None:
    caller = memory.app.caller
    await memory.add("kept for now")
    await store.app.organizations.schedule_deletion(caller, 1)
    await store.app.sweeper.erase_due()

    assert counts(owner, caller.organization_id)["memories"] == 1
    await store.app.organizations.cancel_deletion(caller)
    assert [hit.memory.content for hit in (await memory.search("kept")).hits] == ["kept for now"]


async def test_sweep_visits_every_organization_and_erases_those_that_are_due(
    store: Store, memory: AsyncMemory, owner: Owner
) -> None:
    due = await store.organization()
    await due.add("to be erased")
    await store.app.organizations.schedule_deletion(due.app.caller, 0)
    seen: list[OrganizationId] = []

    async def note(caller: Caller) -> None:
        seen.append(caller.organization_id)

    visited = await replace(store.app.sweeper, steps=(note,)).sweep()
    await store.app.sweeper.erase_due()
    known = await store.app.platform.service.all_ids(None, 10_000)

    assert visited == len(known) + 1 == len(seen)
    assert set(seen) == {*known, due.app.caller.organization_id}
    assert memory.app.caller.organization_id in known
    assert due.app.caller.organization_id not in known
    assert counts(owner, due.app.caller.organization_id)["memories"] == 0


async def test_step_that_fails_in_one_organization_spares_the_others(store: Store, memory: AsyncMemory) -> None:
    seen: list[OrganizationId] = []

    async def fail(_caller: Caller) -> None:
        raise NotFound("a step that fails")

    async def break_down(_caller: Caller) -> None:
        raise ZeroDivisionError("a step that nobody thought of")

    async def note(caller: Caller) -> None:
        assert caller == service_caller(caller.organization_id)
        seen.append(caller.organization_id)

    sweeper = replace(store.app.sweeper, steps=(fail, break_down, note))
    visited = await sweeper.sweep()

    assert visited == len(seen)
    assert memory.app.caller.organization_id in seen


async def test_servers_without_shared_state_are_alone_on_a_database(store: Store) -> None:
    serving = store.app.caretaker.serving
    async with serving(shared=True), serving(shared=True):
        with pytest.raises(ConfigurationError, match="AGENTMEM_REDIS_URL"):
            async with serving(shared=False):
                pass
    async with serving(shared=False):
        for shared in (True, False):
            with pytest.raises(ConfigurationError, match="Another server"):
                async with serving(shared=shared):
                    pass
    async with serving(shared=False):
        pass


async def test_server_takes_its_place_again_when_its_connection_was_cut(store: Store) -> None:
    serving = store.app.caretaker.serving

    async def is_alone() -> bool:
        try:
            async with serving(shared=False):
                return False
        except ConfigurationError:
            return True

    async with serving(shared=False):
        with connect_as_owner(store.app.server) as connection:
            cut = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s",
                (int.from_bytes(b"serv"),),
            )
            assert cut.fetchall() == [(True,)]

        await eventually(is_alone)
