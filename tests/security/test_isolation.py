"""Two organizations in one database: whatever one of them calls, with whatever ids, the other one is out of reach."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import pytest
from psycopg import sql
from sqlalchemy import FromClause, true
from sqlalchemy.sql import ColumnElement

from agentmem import AsyncMemory
from agentmem.errors import AgentMemError, NotFound
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.tables import SCHEMA
from agentmem.kit.ids import OrganizationId
from agentmem.schemas.memories import Scope
from tests.support.operations import CALLS, Foreign, foreign_of, operations, service_of
from tests.support.stores import Owner, Store

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
NOT_FOUND = frozenset(
    {
        "MemoryService.get",
        "MemoryService.history",
        "MemoryService.update",
        "MemoryService.delete",
        "MemoryService.restore",
    }
)


def everything(_table: FromClause) -> ColumnElement[bool]:
    """Ask for the rows of every organization."""
    return true()


def tables(owner: Owner) -> list[str]:
    rows = owner.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = %s::regnamespace", [SCHEMA]
    )
    return sorted(str(name) for (name,) in rows if name != "alembic_version")


@contextmanager
def row_security_off(owner: Owner) -> Iterator[None]:
    """Take the second wall away; the tests of a worker run one after the other."""
    names = [sql.Identifier(SCHEMA, name) for name in tables(owner)]
    for name in names:
        owner.execute(sql.SQL("ALTER TABLE {} DISABLE ROW LEVEL SECURITY").format(name))
    try:
        yield
    finally:
        for name in names:
            owner.execute(sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(name))


def rows_of(owner: Owner, organization_id: UUID) -> dict[str, list[str]]:
    """Read all that an organization has, as text."""
    statement = "SELECT t::text FROM {} t WHERE organization_id = %s ORDER BY 1"
    return {
        name: [
            str(row)
            for (row,) in owner.execute(sql.SQL(statement).format(sql.Identifier(SCHEMA, name)), [organization_id])
        ]
        for name in tables(owner)
    }


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The organization that is attacked, and the one that attacks."""

    victim: AsyncMemory
    foreign: Foreign
    attacker: AsyncMemory


@pytest.fixture
async def neighbours(store: Store) -> Neighbours:
    victim = await store.organization()
    foreign = await foreign_of(victim, user_id=f"{CANARY}-user", content=f"the {CANARY} sings", key="shared-key")
    return Neighbours(victim=victim, foreign=foreign, attacker=await store.organization())


async def attack(neighbours: Neighbours, owner: Owner, name: str, database: Database) -> None:
    """Call an operation as the attacker with the victim's ids: nothing is given away, and nothing is changed."""
    victim_id = neighbours.victim.app.caller.organization_id
    before = rows_of(owner, victim_id)
    caller = neighbours.attacker.app.caller
    error: AgentMemError | None = None
    given: object = None
    try:
        given = await CALLS[name](service_of(name, database), caller, neighbours.foreign)
    except AgentMemError as caught:
        error = caught

    assert rows_of(owner, victim_id) == before
    if name in NOT_FOUND:
        assert isinstance(error, NotFound)
    else:
        assert error is None
    if name not in OWN:
        told = repr(given)
        assert CANARY not in told
        for known in (neighbours.foreign.live, neighbours.foreign.deleted, *neighbours.foreign.places):
            assert name == "MemoryTransfer.unknown" or str(known) not in told


@pytest.mark.parametrize("name", sorted(operations()))
async def test_no_operation_reaches_another_organization(
    store: Store, neighbours: Neighbours, owner: Owner, name: str
) -> None:
    await attack(neighbours, owner, name, store.app.database)


@pytest.mark.parametrize("name", sorted(operations()))
async def test_no_operation_reaches_another_organization_without_row_security(
    store: Store, neighbours: Neighbours, owner: Owner, name: str
) -> None:
    with row_security_off(owner):
        await attack(neighbours, owner, name, store.app.database)


@pytest.mark.parametrize("name", sorted(operations()))
async def test_no_operation_reaches_another_organization_by_row_security_alone(
    store: Store, unfiltered: Database, neighbours: Neighbours, owner: Owner, name: str
) -> None:
    await attack(neighbours, owner, name, unfiltered)


@pytest.fixture
async def unfiltered(store: Store) -> AsyncIterator[Database]:
    """The database without the first wall: statements ask for the rows of everybody."""
    database = Database.open(store.app.server, store.app.database.provider, pool_size=2, tenant_filter=everything)
    yield database
    await database.close()


@pytest.mark.parametrize("name", ["MemoryService.history", "MemoryService.delete_some", "MemoryUpkeep.purge"])
async def test_without_both_walls_the_attack_would_be_noticed(
    unfiltered: Database, neighbours: Neighbours, owner: Owner, name: str
) -> None:
    with row_security_off(owner), pytest.raises(AssertionError):
        await attack(neighbours, owner, name, unfiltered)


def test_every_operation_has_an_attack_of_its_own() -> None:
    assert set(CALLS) == set(operations()), "say in tests/support/operations.py how the operation is called"


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
