"""Two organizations in one database: whatever one of them calls, with whatever ids, the other one is out of reach."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from uuid import uuid4
from zlib import crc32

import pytest
from sqlalchemy.exc import IntegrityError

from agentmem import AsyncMemory
from agentmem.errors import AgentMemError, Conflict, KeyUnavailable, NotFound, PermissionDenied, Unauthenticated
from agentmem.foundation.authorization.caller import BOUND_PERMISSIONS, Binding
from agentmem.foundation.database.database import Database
from agentmem.kit.ids import MemoryId, OrganizationId, uuid7
from agentmem.schemas.memories import Scope
from tests.support import (
    calls_accounts,
    calls_events,
    calls_factors,
    calls_identity,
    calls_jobs,
    calls_memories,
    calls_privacy,
    calls_sessions,
    calls_tenants,
)
from tests.support.calls_repositories import DIRECT_CALLS, REGISTERING, called, functions
from tests.support.operations import CALLS, Foreign, foreign_of, needed, operations, service_of
from tests.support.stores import Owner, Store
from tests.support.walls import row_security_off, rows_of, unfiltered_database

CANARY = "kingfisher-canary"
# What these give is the caller's own, whoever else is there.
OWN = frozenset(
    {
        "MemoryService.add",
        "MemoryTransfer.write",
        "MemoryUpkeep.active_model",
        "OrganizationService.name",
        "MemoryChecking.keys",
    }
)
NOT_FOUND = frozenset().union(
    *(
        of.NOT_FOUND
        for of in (
            *(calls_memories, calls_tenants, calls_identity, calls_jobs),
            *(calls_events, calls_accounts, calls_factors),
            *(calls_sessions, calls_privacy),
        )
    )
)
# What the program itself writes of everybody: it may grow while somebody else is attacked.
SHARED = frozenset({"audit_entries", "organization_usage", "scope_statistics"})


ATTACKS = [*sorted(operations()), *sorted(DIRECT_CALLS)]
SAMPLED = 4
"""Of so many attacks one is made against each wall alone, unless the suite runs whole."""


@pytest.fixture
def in_the_sample(request: pytest.FixtureRequest, *, full: bool) -> None:
    """Let an attack go that is not in the sample of those made against one wall."""
    name = request.node.callspec.params["name"]
    if not full and crc32(name.encode()) % SAMPLED:
        pytest.skip("is run by make test-full: another attack is the sample")


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The organization that is attacked, and the one that attacks."""

    victim: AsyncMemory
    foreign: Foreign
    attacker: AsyncMemory


@pytest.fixture(scope="module")
async def attacked(store: Store) -> tuple[AsyncMemory, Foreign]:
    """The organization that all are to attack: after each attack it must be as it was before."""
    return await filled(store)


@pytest.fixture
async def neighbours(store: Store, attacked: tuple[AsyncMemory, Foreign]) -> Neighbours:
    victim, foreign = attacked
    return Neighbours(victim=victim, foreign=foreign, attacker=await store.organization())


async def filled(store: Store) -> tuple[AsyncMemory, Foreign]:
    """Make an organization full of a canary, and give what could be known of it."""
    victim = await store.organization()
    return victim, await foreign_of(victim, user_id=f"{CANARY}-user", content=f"the {CANARY} sings", key="shared-key")


GIVEN_BACK = frozenset({"MemoryTransfer.unknown", "memories.provenance.fetch_provenance"})
"""What gives back the id that it was called with."""


async def attack(neighbours: Neighbours, owner: Owner, name: str, database: Database) -> None:
    """Call an operation as the attacker with the victim's ids: nothing is given away, and nothing is changed."""
    victim_id = neighbours.victim.app.caller.organization_id
    before = rows_of(owner, victim_id)
    given, error = await attempt(neighbours, name, database)

    assert rows_of(owner, victim_id) == before
    if name in NOT_FOUND:
        assert isinstance(error, NotFound)
    else:
        refusals: tuple[type[AgentMemError], ...] = (
            (NotFound, Conflict) if name in DIRECT_CALLS else (Conflict,) if name in calls_tenants.CONFLICT else ()
        )
        refusals = (Unauthenticated,) if name in calls_factors.REFUSED else refusals
        assert error is None or isinstance(error, refusals)
    if name not in OWN:
        told = repr(given)
        assert CANARY not in told
        theirs = neighbours.foreign
        ids = (theirs.live, theirs.deleted, *theirs.places, *theirs.entries, theirs.key_id, theirs.member_id, victim_id)
        ids = (*ids, theirs.webhook_id, theirs.delivery_id)
        for known in ids:
            assert name in GIVEN_BACK or str(known) not in told


async def attempt(neighbours: Neighbours, name: str, database: Database) -> tuple[object, AgentMemError | None]:
    """Call an operation, or a function below the operations, and give its answer or its error."""
    caller = neighbours.attacker.app.caller
    try:
        if name in DIRECT_CALLS:
            async with database.transaction(caller) as tx:
                return await DIRECT_CALLS[name](tx, neighbours.foreign), None
        return await CALLS[name](service_of(name, database), caller, neighbours.foreign), None
    except AgentMemError as error:
        return None, error
    except IntegrityError:  # what it points to is not in its organization
        return None, Conflict("a foreign key refuses it")


@pytest.mark.parametrize("name", ATTACKS)
async def test_no_operation_reaches_another_organization(
    store: Store, neighbours: Neighbours, owner: Owner, name: str
) -> None:
    await attack(neighbours, owner, name, store.app.database)


@pytest.mark.usefixtures("in_the_sample")
@pytest.mark.parametrize("name", ATTACKS)
async def test_no_operation_reaches_another_organization_without_row_security(
    store: Store, neighbours: Neighbours, owner: Owner, name: str
) -> None:
    async with row_security_off(owner):
        await attack(neighbours, owner, name, store.app.database)


@pytest.mark.usefixtures("in_the_sample")
@pytest.mark.parametrize("name", ATTACKS)
async def test_no_operation_reaches_another_organization_by_row_security_alone(
    store: Store, unfiltered: Database, neighbours: Neighbours, owner: Owner, name: str
) -> None:
    await attack(neighbours, owner, name, unfiltered)


@pytest.fixture
async def unfiltered(store: Store) -> AsyncIterator[Database]:
    async with unfiltered_database(store.app) as database:
        yield database


@pytest.mark.parametrize("bound", ["user_id", "agent_id", "run_id", "app_id"])
@pytest.mark.parametrize("name", sorted(name for name in operations() if needed(name)[0] in BOUND_PERMISSIONS))
async def test_no_operation_of_a_bound_caller_reaches_the_rest_of_its_organization(
    store: Store, neighbours: Neighbours, owner: Owner, name: str, bound: str
) -> None:
    # Nobody else's: what another test has made as one that is bound stays in the victim's organization.
    binding = Binding(**{bound: f"attacker-{uuid4()}"})
    caller = replace(neighbours.victim.app.caller, permissions=BOUND_PERMISSIONS, binding=binding)
    prepared = replace(neighbours.foreign.prepared, memory_id=MemoryId(uuid7()))
    foreign = replace(neighbours.foreign, prepared=prepared)
    before = rows_of(owner, caller.organization_id)
    given: object = None
    error: AgentMemError | None = None
    try:
        given = await CALLS[name](service_of(name, store.app.database), caller, foreign)
    except (NotFound, PermissionDenied, Unauthenticated) as caught:
        error = caught
    after = rows_of(owner, caller.organization_id)

    assert {table: set(rows) - set(after[table]) for table, rows in before.items() if table not in SHARED} == {
        table: set() for table in before if table not in SHARED
    }
    assert isinstance(error, NotFound) or name not in NOT_FOUND
    if name not in OWN:
        assert CANARY not in repr(given)
        assert not [place for place in neighbours.foreign.places if str(place) in repr(given)]


def test_every_operation_has_an_attack_of_its_own() -> None:
    assert set(CALLS) == set(operations()), "say in tests/support/operations.py how the operation is called"


async def test_every_function_that_takes_a_transaction_is_reached_by_an_attack(
    store: Store, neighbours: Neighbours
) -> None:
    with called() as reached:
        for name in ATTACKS:
            await attempt(neighbours, name, store.app.database)

    missed = set(functions().values()) - reached - REGISTERING
    assert missed == set(), "say in tests/support/calls_repositories.py how the function is called"


async def test_what_the_attacker_is_given_is_its_own(store: Store, neighbours: Neighbours) -> None:
    caller = neighbours.attacker.app.caller
    added = await CALLS["MemoryService.add"](
        service_of("MemoryService.add", store.app.database), caller, neighbours.foreign
    )
    mine = (await neighbours.attacker.list()).items

    assert [record.id for record in added.memories] == [record.id for record in mine]  # type: ignore[attr-defined]
    assert neighbours.foreign.live not in {record.id for record in mine}
    keys = await CALLS["MemoryChecking.keys"](
        service_of("MemoryChecking.keys", store.app.database), caller, neighbours.foreign
    )
    theirs = await CALLS["MemoryChecking.keys"](
        service_of("MemoryChecking.keys", store.app.database), neighbours.victim.app.caller, neighbours.foreign
    )
    assert not {key.key_id for key in keys} & {key.key_id for key in theirs}  # type: ignore[attr-defined]


async def test_same_id_in_two_organizations_names_two_memories(store: Store, neighbours: Neighbours) -> None:
    lines = [line async for line in neighbours.victim.export()]
    await neighbours.attacker.import_(lines)
    memory_id = neighbours.foreign.live
    await neighbours.attacker.update(memory_id, content="changed by the attacker")
    await neighbours.attacker.delete(memory_id)

    assert (await neighbours.victim.get(memory_id)).content == f"the {CANARY} sings"


async def test_caller_of_an_organization_that_does_not_exist_finds_nothing(store: Store) -> None:
    caller = replace(store.app.caller, organization_id=OrganizationId(uuid4()))

    with pytest.raises(NotFound, match="organization"):
        await store.app.memories.stats(caller, Scope())
    with pytest.raises(NotFound, match="organization"):
        await store.app.memories.delete_some(caller, Scope(user_id="anybody"))


# What follows harms everybody in the store, and so comes last.
async def attack_often(neighbours: Neighbours, owner: Owner, name: str, database: Database) -> None:
    """Attack again and again: batches of what other tests have left may come before what these neighbours have."""
    for _ in range(100):
        await attack(neighbours, owner, name, database)


@pytest.mark.parametrize(
    "name",
    [
        "MemoryService.history",
        "MemoryService.delete_some",
        "MemoryUpkeep.purge",
        "memories.index_writing.set_live",
        "memories.repository.close_versions",
        "memories.rewriting.move_texts",
    ],
)
async def test_without_both_walls_the_attack_would_be_noticed(
    store: Store, unfiltered: Database, owner: Owner, name: str
) -> None:
    victim, foreign = await filled(store)
    neighbours = Neighbours(victim=victim, foreign=foreign, attacker=await store.organization())
    # With its keys known: without walls they would not be found among those of everybody, and nothing would be tried.
    bare = replace(unfiltered, _keys=store.app.database._keys)
    async with row_security_off(owner):
        with pytest.raises(AssertionError):
            await attack_often(neighbours, owner, name, bare)
        _, error = await attempt(neighbours, name, bare)

    assert not isinstance(error, KeyUnavailable)
