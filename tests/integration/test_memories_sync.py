"""The face for programs without asyncio: every method, from many threads, opened and closed in every order."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from agentmem import Memory
from agentmem.errors import AgentMemError, Closed, InvalidInput, NotFound
from agentmem.schemas.memories import Imported
from tests.support.children import run_python
from tests.support.stores import Store

FORGETFUL = """
import sys
from agentmem import Memory
memory = Memory(data_directory=sys.argv[1], organization=sys.argv[2])
print(memory.add("left open").memories[0].id)
"""


@pytest.fixture(scope="module")
def settings(store: Store) -> dict[str, object]:
    return {"data_directory": store.directory, "organization": f"sync-{uuid4().hex}"}


@pytest.fixture(scope="module")
def memory(settings: dict[str, object]) -> Iterator[Memory]:
    with Memory(**settings) as memory:
        yield memory


def test_life_of_a_memory_without_asyncio(memory: Memory) -> None:
    added = memory.add("a boat named Ellida", user_id="sync", idempotency_key="sync-1").memories[0]

    assert memory.get(added.id) == added
    assert [hit.memory.id for hit in memory.search("boat", user_id="sync").hits] == [added.id]
    assert "Ellida" in memory.context("boat", user_id="sync").text
    assert memory.update(added.id, content="a ship named Ellida").version == 2
    assert memory.pin(added.id).pinned
    memory.delete(added.id)
    with pytest.raises(NotFound):
        memory.get(added.id)
    assert memory.restore(added.id).content == "a ship named Ellida"
    assert len(memory.history(added.id)) == 5
    assert memory.stats(user_id="sync").memories == 1
    assert memory.duplicates(user_id="sync") == []
    assert memory.delete_all(user_id="sync").deleted == 1


def test_arguments_of_a_wrong_type_are_refused_without_asyncio(memory: Memory) -> None:
    before = memory.stats().versions
    for call in (
        lambda: memory.add("x", idempotency_key=5),  # type: ignore[arg-type]
        lambda: memory.import_([5]),  # type: ignore[list-item]
        lambda: memory.import_([None]),  # type: ignore[list-item]
        lambda: memory.vacuum(purge_after_days=1_000_000),
        lambda: memory.vacuum(purge_after_days="x"),  # type: ignore[arg-type]
    ):
        with pytest.raises(InvalidInput):
            call()

    assert memory.stats().versions == before


def test_streams_go_in_and_out_without_asyncio(memory: Memory) -> None:
    steps: list[int] = []
    assert memory.add_many((f"row {n}" for n in range(20)), user_id="stream", progress=steps.append).added == 20
    first = memory.list(user_id="stream", limit=15)
    rest = memory.list(user_id="stream", limit=15, cursor=first.next_cursor)
    lines = list(memory.export(user_id="stream"))

    assert (len(first.items), len(rest.items), rest.next_cursor) == (15, 5, None)
    assert len(lines) == 20
    assert memory.import_(lines) == Imported(imported=0, skipped=20)
    assert sum(steps) == 20


def test_care_of_a_store_without_asyncio(memory: Memory) -> None:
    memory.add("cared for")

    assert memory.doctor().healthy
    assert memory.vacuum().purged_memories >= 0
    assert memory.info() is not None


def test_threads_may_share_one_store(memory: Memory) -> None:
    def work(number: int) -> bool:
        added = memory.add(f"thread {number} wrote tw{number}", user_id="threads").memories[0]
        return memory.search(f"tw{number}", user_id="threads", limit=1).hits[0].memory.id == added.id

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(32)))
    assert memory.stats(user_id="threads").memories == 32


def test_several_stores_may_be_open_in_one_process(store: Store, memory: Memory) -> None:
    with Memory(data_directory=store.directory, organization=f"sync-{uuid4().hex}") as other:
        other.add("only here")
        assert memory.search("only here", user_id="nobody").hits == []
        assert other.stats().memories == 1


def test_closed_store_says_so_and_closes_twice(settings: dict[str, object]) -> None:
    memory = Memory(**settings)
    memory.close()
    memory.close()

    with pytest.raises(Closed, match="closed"):
        memory.add("too late")
    with pytest.raises(Closed):
        list(memory.export())


def test_store_that_is_forgotten_is_closed(settings: dict[str, object]) -> None:
    memory = Memory(**settings)
    ended = memory._finalizer
    del memory
    gc.collect()

    assert not ended.alive


def test_store_that_cannot_be_opened_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("chapter 1")
    with pytest.raises(AgentMemError):
        Memory(data_directory=tmp_path)


def test_program_that_does_not_close_its_store_ends_and_loses_nothing(
    settings: dict[str, object], memory: Memory
) -> None:
    printed = run_python(FORGETFUL, str(settings["data_directory"]), str(settings["organization"]))

    assert memory.get(printed.strip()).content == "left open"
