"""Metadata that an organization has sealed: what is stored of it, and which filters find it."""

from __future__ import annotations

import pytest
from psycopg.sql import SQL, Identifier

from agentmem import AsyncMemory
from agentmem.errors import InvalidFilter
from agentmem.features.organizations.work import SEAL_METADATA
from agentmem.foundation.jobs.model import Job
from agentmem.kit.ids import JobId, PrincipalId, uuid7
from agentmem.schemas.memories import SearchMode
from tests.support.served import api
from tests.support.stores import Owner, Store

CANARY = "zqxvkjwp"
RESEALING = Job(id=JobId(uuid7()), kind="reseal", arguments={}, attempt=1, tries=0, asked_by=PrincipalId("service"))
SSN = f"078-05-{CANARY}"


async def seal(memory: AsyncMemory, *keys: str) -> None:
    async with api(memory) as client:
        policy = {"kind": "classification", "sensitive_keys": keys}
        answer = await client.put("/v1/organization/policies/classification", json={"policy": policy})
        assert answer.status_code == 200, answer.text


async def follow(memory: AsyncMemory) -> int:
    """Do what the job does."""
    sealing, sealed = memory.app.custody.sealing.stored, 0
    after = None
    while True:
        after, step = await sealing.seal_metadata(memory.app.caller, after)
        sealed += step
        if after is None:
            return sealed


def in_clear(owner: Owner, memory: AsyncMemory, word: str) -> list[object]:
    """Name the tables of which a row of the organization holds a word in clear."""
    tables = owner.execute(
        "SELECT table_name FROM information_schema.columns c JOIN information_schema.tables "
        "USING (table_schema, table_name) "
        "WHERE c.table_schema = 'agentmem' AND c.column_name = 'organization_id' AND table_type = 'BASE TABLE'"
    ).fetchall()
    organization = memory.app.caller.organization_id
    shown = [organization, f"%{word}%", f"%{word.encode().hex()}%"]
    query = "SELECT 1 FROM agentmem.{} t WHERE organization_id = %s AND (t::text LIKE %s OR t::text LIKE %s) LIMIT 1"
    return [name for (name,) in tables if owner.execute(SQL(query).format(Identifier(str(name))), shown).fetchone()]


async def found(memory: AsyncMemory, **filters: object) -> set[str]:
    return {record.content for record in (await memory.list(filters=filters)).items}


@pytest.fixture
async def people(memory: AsyncMemory) -> AsyncMemory:
    """An organization that seals ``ssn`` and ``level``, with a memory of three people, of whom one has neither."""
    await seal(memory, "ssn", "level")
    await memory.add([{"content": "ada", "user_id": "ada", "metadata": {"ssn": SSN, "level": 3, "town": "Oslo"}}])
    await memory.add([{"content": "bo", "metadata": {"ssn": "111", "level": [1, "a"], "town": "Oslo"}}])
    await memory.add([{"content": "cy", "metadata": {"ssn": None, "town": "Rome"}}])
    return memory


async def test_a_sealed_value_is_in_clear_in_no_table_and_is_given_back_whole(
    people: AsyncMemory, owner: Owner
) -> None:
    (ada,) = (await people.list(user_id="ada")).items
    changed = await people.update(ada.id, importance=0.9)
    await people.delete(ada.id)
    restored = await people.restore(ada.id)
    history = await people.history(ada.id)

    assert in_clear(owner, people, CANARY) == []
    assert in_clear(owner, people, "Oslo") == ["memories"]
    assert ada.metadata == changed.metadata == restored.metadata == {"ssn": SSN, "level": 3, "town": "Oslo"}
    assert all(version.memory.metadata == ada.metadata for version in history)
    assert (await people.doctor()).healthy


@pytest.mark.parametrize(
    "asked, answer",
    [
        ({"metadata.ssn": SSN}, {"ada"}),
        ({"metadata.ssn": {"ne": SSN}}, {"bo", "cy"}),
        ({"metadata.ssn": {"in": [SSN, "111", "222"]}}, {"ada", "bo"}),
        ({"metadata.ssn": {"in": ["222", None]}}, {"cy"}),
        ({"metadata.ssn": {"in": []}}, set()),
        ({"metadata.ssn": {"nin": [SSN]}}, {"bo", "cy"}),
        ({"metadata.ssn": {"exists": True}}, {"ada", "bo"}),
        ({"metadata.ssn": {"exists": False}}, {"cy"}),
        ({"metadata.ssn": None}, {"cy"}),
        ({"metadata.ssn": {"ne": None}}, {"ada", "bo"}),
        ({"metadata.level": 3.0}, {"ada"}),
        ({"metadata.level": "3"}, set()),
        ({"metadata.level": {"eq": [1, "a"]}}, {"bo"}),
        ({"metadata.ssn": SSN, "metadata.town": "Oslo"}, {"ada"}),
        ({"or": [{"metadata.ssn": "111"}, {"not": {"metadata.town": "Oslo"}}]}, {"bo", "cy"}),
    ],
)
async def test_a_sealed_value_is_found_as_one_in_clear_would_be(
    people: AsyncMemory, asked: dict[str, object], answer: set[str]
) -> None:
    assert await found(people, **asked) == answer


async def test_a_search_filters_by_sealed_values(people: AsyncMemory) -> None:
    for mode in SearchMode:
        hits = (await people.search("ada bo cy", mode=mode, filters={"metadata.ssn": SSN})).hits
        assert [hit.memory.content for hit in hits] == ["ada"]


@pytest.mark.parametrize(
    "asked",
    [
        {"metadata.level": {"gt": 1}},
        {"metadata.ssn": {"contains": "078"}},
        {"metadata.ssn": {"starts_with": "0"}},
        {"metadata.ssn": {"icontains": "0"}},
        {"metadata.ssn.part": 1},
        {"not": {"metadata.level": {"lte": 1}}},
    ],
)
async def test_more_than_equality_is_refused_for_a_sealed_value(people: AsyncMemory, asked: dict[str, object]) -> None:
    with pytest.raises(InvalidFilter, match="is sealed: its value as a whole is compared, by eq, ne, in, nin, exists"):
        await people.list(filters=asked)


async def test_equal_values_have_other_hashes_under_another_key_and_in_another_organization(
    people: AsyncMemory, store: Store, owner: Owner
) -> None:
    other = await store.organization()
    await seal(other, "ssn", "pin")
    await other.add([{"content": "ada", "metadata": {"ssn": SSN, "pin": SSN}}])
    rows = owner.execute(
        "SELECT value FROM agentmem.memories, jsonb_each_text(blind_index) WHERE organization_id = ANY (%s) "
        "AND content IS NOT NULL AND key IN ('ssn', 'pin') AND (metadata ->> 'town' IS NULL OR user_id = 'ada')",
        [[people.app.caller.organization_id, other.app.caller.organization_id]],
    ).fetchall()

    assert len(rows) == len(set(rows)) == 3


async def test_what_is_there_is_found_while_a_job_seals_it_and_when_it_has(memory: AsyncMemory, owner: Owner) -> None:
    (added,) = (
        await memory.add([{"content": "ada", "user_id": "ada", "metadata": {"ssn": SSN, "town": "Oslo"}}])
    ).memories
    await memory.update(added.id, importance=0.9)
    await memory.add([{"content": "bo", "metadata": {"ssn": "111"}}])
    await seal(memory, "ssn")
    before = (await found(memory, **{"metadata.ssn": SSN}), await found(memory, **{"metadata.ssn": {"ne": SSN}}))
    clear = in_clear(owner, memory, CANARY)
    asked = owner.execute(
        "SELECT count(*) FROM agentmem.jobs WHERE organization_id = %s AND kind = %s",
        [memory.app.caller.organization_id, SEAL_METADATA.name],
    ).fetchone()
    sealed = await follow(memory)
    after = (await found(memory, **{"metadata.ssn": SSN}), await found(memory, **{"metadata.ssn": {"ne": SSN}}))

    assert asked == (1,)
    assert before == after == ({"ada"}, {"bo"})
    assert clear == ["memories"]
    assert in_clear(owner, memory, CANARY) == []
    assert (sealed, await follow(memory)) == (3, 0)
    assert (await memory.get(added.id)).metadata == {"ssn": SSN, "town": "Oslo"}
    assert (await memory.doctor()).healthy


async def test_a_key_that_is_no_longer_sensitive_is_opened_by_the_job(people: AsyncMemory, owner: Owner) -> None:
    await seal(people, "level")
    assert await follow(people) == 3

    assert await found(people, **{"metadata.ssn": {"starts_with": "078"}}) == {"ada"}
    assert in_clear(owner, people, CANARY) == ["memories"]
    assert await found(people, **{"metadata.level": 3}) == {"ada"}


async def test_sealed_metadata_is_sealed_anew_when_the_key_is_rotated(people: AsyncMemory) -> None:
    rotation, caller = people.app.custody.rotation, people.app.caller
    before = {key.key_id for key in (await rotation.inventory(caller)).keys if key.purpose == "data"}
    await rotation.rotate_data_key(caller)
    await rotation._reseal(caller, RESEALING)
    after = {key.key_id for key in (await rotation.inventory(caller)).keys if key.purpose == "data"}

    assert not before & after
    assert await found(people, **{"metadata.ssn": "111"}) == {"bo"}
    assert [record.metadata["ssn"] for record in (await people.list(filters={"metadata.ssn": "111"})).items] == ["111"]


async def test_sealed_metadata_is_carried_by_an_export(people: AsyncMemory, store: Store, owner: Owner) -> None:
    lines = [line async for line in people.export()]
    other = await store.organization()
    await seal(other, "ssn")
    await other.import_(lines)

    assert await found(other, **{"metadata.ssn": SSN}) == {"ada"}
    assert in_clear(owner, other, CANARY) == []
