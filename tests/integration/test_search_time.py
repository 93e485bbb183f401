from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from agentmem import AsyncMemory
from agentmem.errors import NotFound
from agentmem.schemas.memories import SearchMode


def moment() -> datetime:
    return datetime.now(UTC)


async def listed(memory: AsyncMemory, **view: datetime) -> set[str]:
    return {record.content for record in (await memory.list(**view)).items}  # type: ignore[arg-type]


async def found(memory: AsyncMemory, query: str, mode: SearchMode, **view: datetime) -> set[str]:
    results = await memory.search(query, mode=mode, **view)  # type: ignore[arg-type]
    return {hit.memory.content for hit in results.hits}


@pytest.mark.parametrize("mode", list(SearchMode))
async def test_store_tells_what_it_knew_at_an_earlier_moment(memory: AsyncMemory, mode: SearchMode) -> None:
    before = moment()
    added = (await memory.add("Anna lives in Berlin")).memories[0]
    first = moment()
    await memory.update(added.id, content="Anna lives in Madrid")
    second = moment()
    await memory.delete(added.id)
    query = "Where does Anna live: Berlin or Madrid?"

    assert await found(memory, query, mode, known_at=before) == set()
    assert await found(memory, query, mode, known_at=first) == {"Anna lives in Berlin"}
    assert await found(memory, query, mode, known_at=second) == {"Anna lives in Madrid"}
    assert await found(memory, query, mode) == set()


async def test_get_and_list_tell_what_was_known_at_an_earlier_moment(memory: AsyncMemory) -> None:
    before = moment()
    added = (await memory.add("Anna lives in Berlin")).memories[0]
    first = moment()
    await memory.update(added.id, content="Anna lives in Madrid")
    await memory.delete(added.id)

    assert (await memory.get(added.id, known_at=first)).content == "Anna lives in Berlin"
    assert await listed(memory, known_at=first) == {"Anna lives in Berlin"}
    assert await listed(memory, known_at=before) == set()
    with pytest.raises(NotFound):
        await memory.get(added.id, known_at=before)


@pytest.mark.parametrize("mode", list(SearchMode))
async def test_store_tells_what_was_true_at_an_earlier_moment(memory: AsyncMemory, mode: SearchMode) -> None:
    now = moment()
    await memory.add("the shop opened in 2020", occurred_at=datetime(2020, 5, 1, tzinfo=UTC))
    await memory.add("the shop sells bread today", occurred_at=now - timedelta(hours=1))
    await memory.add(
        "the shop gives a discount", occurred_at=now - timedelta(days=9), expires_at=now + timedelta(days=1)
    )
    query = "What about the shop?"

    assert await found(memory, query, mode, as_of=datetime(2021, 1, 1, tzinfo=UTC)) == {"the shop opened in 2020"}
    assert await found(memory, query, mode, as_of=now - timedelta(days=1)) == {
        "the shop opened in 2020",
        "the shop gives a discount",
    }
    assert await found(memory, query, mode, as_of=now + timedelta(days=2)) == {
        "the shop opened in 2020",
        "the shop sells bread today",
    }
    assert await listed(memory, as_of=datetime(2021, 1, 1, tzinfo=UTC)) == {"the shop opened in 2020"}


async def test_both_moments_may_be_asked_for_together(memory: AsyncMemory) -> None:
    added = (await memory.add("rent is 900", occurred_at=datetime(2020, 1, 1, tzinfo=UTC))).memories[0]
    known = moment()
    await memory.update(added.id, content="rent is 950")

    view = {"known_at": known, "as_of": datetime(2022, 1, 1, tzinfo=UTC)}
    assert await listed(memory, **view) == {"rent is 900"}
    assert await listed(memory, known_at=known, as_of=datetime(2019, 1, 1, tzinfo=UTC)) == set()


async def test_moment_may_be_given_as_text_and_in_any_zone(memory: AsyncMemory) -> None:
    added = (await memory.add("noon in Tokyo", occurred_at="2024-03-01T12:00:00+09:00")).memories[0]

    assert added.occurred_at == datetime(2024, 3, 1, 3, tzinfo=UTC)
    assert (await memory.get(added.id, as_of="2024-03-01T03:00:00Z")).id == added.id
    with pytest.raises(NotFound):
        await memory.get(added.id, as_of="2024-03-01T11:59:59.999999+09:00")


async def test_restored_memory_was_unknown_while_it_was_deleted(memory: AsyncMemory) -> None:
    added = (await memory.add("on and off")).memories[0]
    await memory.delete(added.id)
    between = moment()
    await asyncio.sleep(0)
    await memory.restore(added.id)

    assert await listed(memory, known_at=between) == set()
    assert await listed(memory) == {"on and off"}


@pytest.mark.parametrize("year", [1, 9999])
async def test_times_at_the_ends_of_the_calendar_are_kept(memory: AsyncMemory, year: int) -> None:
    edge = datetime(1, 1, 1, tzinfo=UTC) if year == 1 else datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    added = await memory.add("yesterday, tomorrow, last year, next month, 昨天, 明年, in 3 weeks", occurred_at=edge)

    assert (await memory.get(added.memories[0].id)).occurred_at == edge
    assert (await memory.search("What happened yesterday and next year?", as_of=edge)).hits
