from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

import agentmem.foundation.inference
from agentmem import AsyncMemory
from agentmem.errors import Conflict, LockLost
from agentmem.foundation.inference.loaded import Models
from agentmem.foundation.inference.open import DEFAULT_MODEL
from agentmem.foundation.inference.port import Embedder, Embedding
from agentmem.pipelines.ingestion.upkeep import CHANGING_MODEL
from tests.support.children import next_line, python_child
from tests.support.embedders import HashEmbedder
from tests.support.stores import Owner, Store, with_models

SEARCHER = """
import sys
from agentmem import Memory

with Memory(data_directory=sys.argv[1], organization=sys.argv[2], embedding_model=sys.argv[3], linger=0.5) as memory:
    for line in sys.stdin:
        if line.startswith("add "):
            memory.add(line[4:].strip(), user_id="bo")
            print("added", flush=True)
        else:
            hits = memory.search(line.strip(), user_id="bo", mode="semantic", limit=1).hits
            print(hits[0].memory.content if hits else "", flush=True)
"""
REEMBEDDER = """
import sys
from agentmem import Memory

with Memory(data_directory=sys.argv[1], organization=sys.argv[2], linger=0.5) as memory:
    memory.reembed(sys.argv[3], progress=lambda number: print(number, flush=True))
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of its own: the shipped weights under another name, so that it has another id."""
    shipped = Path(agentmem.foundation.inference.__file__).parent / "models" / DEFAULT_MODEL
    copy = tmp_path_factory.mktemp("models") / "renamed"
    shutil.copytree(shipped, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "name": "renamed"}))
    return copy


class SlowEmbedder(HashEmbedder):
    """A model that lets a test do something between two batches."""

    def __init__(self, model: str, dimensions: int) -> None:
        super().__init__(model, dimensions)
        self.started = asyncio.Event()
        self.go_on = asyncio.Event()

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        self.started.set()
        await self.go_on.wait()
        return await super().embed_documents(texts)

    async def embed_query(self, text: str) -> Embedding:
        self.started.set()
        await self.go_on.wait()
        return await super().embed_query(text)


def opening(memory: AsyncMemory, *others: Embedder) -> AsyncMemory:
    """Give another face of the same organization whose process can open these models."""
    by_name = {embedder.model: embedder for embedder in (memory.app.models.current, *others)}

    async def opener(name: str) -> Embedder:
        return by_name[name]

    app = with_models(memory.app, memory.app.models.current)
    models = Models(app.models.current, opener)
    face = AsyncMemory(data_directory=memory.app.settings.data_directory)
    ingestion = replace(app.ingestion, models=models)
    face._opened = replace(
        app,
        models=models,
        ingestion=ingestion,
        retrieval=replace(app.retrieval, models=models),
        upkeep=replace(app.upkeep, models=models, ingestion=ingestion),
        doctor=replace(app.doctor, models=models),
    )
    return face


async def best(memory: AsyncMemory, query: str) -> str:
    found = await memory.search(query, user_id="bo", mode="semantic", limit=1)
    return found.hits[0].memory.content if found.hits else ""


@pytest.fixture
async def old(store: Store) -> AsyncMemory:
    """An organization with memories in every state, embedded by a model with vectors of 48 numbers."""
    memory = await store.with_embedder(HashEmbedder("small@1", 48))
    first, second, third = (
        await memory.add(["alpha beta gamma", "delta epsilon zeta", "eta theta iota"], user_id="bo")
    ).memories
    await memory.update(first.id, content="alpha beta kappa")
    await memory.delete(second.id)
    await memory.update(third.id, importance=0.1)
    return memory


async def test_model_with_vectors_of_another_length_takes_over(old: AsyncMemory, owner: Owner) -> None:
    large = HashEmbedder("large@1", 96)
    memory = opening(old, large)
    done = await memory.reembed("large@1")

    assert (done.model, done.embedded) == ("large@1", 4)
    assert await best(memory, "theta iota") == "eta theta iota"
    rows = owner.execute(
        "SELECT DISTINCT model, vector_dims(embedding) FROM agentmem.vectors WHERE organization_id = %s "
        "UNION SELECT DISTINCT model, 96 FROM agentmem.index_entries WHERE organization_id = %s",
        (memory.app.caller.organization_id,) * 2,
    )
    assert rows.fetchall() == [("large@1", 96)]
    assert (await memory.doctor()).findings == []


async def test_process_with_the_old_model_goes_over_to_the_new_one_when_it_searches(old: AsyncMemory) -> None:
    large = HashEmbedder("large@1", 96)
    other = opening(old, large)
    await opening(old, large).reembed("large@1")

    assert other.app.models.current.model == "small@1"
    assert await best(other, "alpha kappa") == "alpha beta kappa"
    assert other.app.models.current.model == "large@1"


async def test_query_that_was_embedded_by_the_old_model_is_not_compared_with_vectors_of_the_new(
    old: AsyncMemory,
) -> None:
    slow, large = SlowEmbedder("small@1", 48), HashEmbedder("large@1", 96)
    late = opening(old, slow, large)
    late.app.models.current = slow
    searching = asyncio.create_task(best(late, "alpha kappa"))
    await slow.started.wait()
    await opening(old, large).reembed("large@1")
    await late.app.upkeep.follow(late.app.caller)
    slow.go_on.set()

    assert await searching == "alpha beta kappa"


async def test_searches_stay_right_while_the_model_changes_and_what_is_added_meanwhile_is_embedded(
    old: AsyncMemory,
) -> None:
    slow = SlowEmbedder("large@1", 96)
    memory, other = opening(old, slow), opening(old, slow)
    changing = asyncio.create_task(memory.reembed("large@1"))
    await slow.started.wait()

    assert await best(other, "theta iota") == "eta theta iota"
    added = (await other.add("lambda mu nu", user_id="bo")).memories[0]
    assert await best(other, "mu nu") == "lambda mu nu"
    assert not changing.done()
    slow.go_on.set()
    assert (await changing).embedded == 5
    assert await best(memory, "mu nu") == await best(other, "mu nu") == "lambda mu nu"
    assert (await memory.get(added.id)).version == 1
    assert (await memory.doctor()).findings == []


async def test_what_a_process_adds_by_the_old_model_after_the_change_is_embedded_by_the_new_one(
    old: AsyncMemory,
) -> None:
    large = HashEmbedder("large@1", 96)
    late = opening(old, large)
    memory = opening(old, large)
    await memory.reembed("large@1")
    await late.add("xi omicron pi", user_id="bo")
    report = await memory.doctor()
    assert (report.healthy, report.pending_vectors) == (True, 1)

    assert await late.app.upkeep.fill_pending(late.app.caller) == 1
    assert await best(memory, "omicron pi") == "xi omicron pi"
    report = await memory.doctor()
    assert (report.healthy, report.pending_vectors) == (True, 0)


async def test_memory_deleted_while_it_is_embedded_is_not_among_the_nearest(old: AsyncMemory, owner: Owner) -> None:
    slow = SlowEmbedder("large@1", 96)
    memory, other = opening(old, slow), opening(old, slow)
    doomed = (await other.add("rho sigma tau", user_id="bo")).memories[0]
    changing = asyncio.create_task(memory.reembed("large@1"))
    await slow.started.wait()
    await other.delete(doomed.id)
    slow.go_on.set()
    await changing

    live = owner.execute(
        "SELECT live FROM agentmem.vectors JOIN agentmem.memories USING (organization_id, place) "
        "WHERE memory_id = %s AND known_until IS NULL",
        (doomed.id,),
    )
    assert live.fetchall() == [(False,)]
    assert (await memory.doctor()).findings == []


async def test_only_one_process_changes_the_model_at_a_time(old: AsyncMemory) -> None:
    slow = SlowEmbedder("large@1", 96)
    memory = opening(old, slow)
    changing = asyncio.create_task(memory.reembed("large@1"))
    await slow.started.wait()

    with pytest.raises(Conflict):
        await opening(old, slow).reembed("large@1")
    slow.go_on.set()
    await changing


async def test_change_of_model_that_another_process_took_over_writes_no_more(old: AsyncMemory) -> None:
    slow = SlowEmbedder("large@1", 96)
    memory = opening(old, slow)
    changing = asyncio.create_task(memory.reembed("large@1"))
    await slow.started.wait()

    # As when the connection that held the lock was cut: nobody is kept from beginning.
    await memory.app.database.fenced(memory.app.caller, CHANGING_MODEL)
    slow.go_on.set()

    with pytest.raises(LockLost):
        await changing
    assert (await old.doctor()).findings == []


async def test_reembedding_by_the_model_in_force_changes_nothing(old: AsyncMemory) -> None:
    again = opening(old, HashEmbedder("small@1", 48))

    assert (await again.reembed("small@1")).embedded == 0
    assert await best(again, "theta iota") == "eta theta iota"
    assert (await again.doctor()).findings == []


@pytest.fixture
async def real(store: Store) -> AsyncIterator[AsyncMemory]:
    """An organization of some hundred memories in a store that other processes open."""
    organization = f"test-{uuid4().hex}"
    async with AsyncMemory(data_directory=store.directory, organization=organization, linger=0.5) as memory:
        await memory.add_many((f"visitor {number} came by boat" for number in range(600)), user_id="bo")
        await memory.add("the baker sells rye bread", user_id="bo")
        yield memory


async def test_killed_change_of_model_goes_on_where_it_stopped(real: AsyncMemory, folder: Path) -> None:
    settings = real.app.settings
    with python_child(REEMBEDDER, settings.data_directory, settings.organization, folder) as child:
        assert next_line(child) == "256"
        child.kill()
        child.wait()
    before = real.app.models.current.model
    assert (await real.doctor()).findings == []
    assert await best(real, "bread from a bakery") == "the baker sells rye bread"
    told: list[int] = []
    done = await real.reembed(str(folder), progress=told.append)

    assert done.model.startswith("renamed@")
    assert real.app.models.current.model == done.model != before
    assert done.embedded == sum(told)
    assert 0 < done.embedded <= 601 - 256
    assert await best(real, "bread from a bakery") == "the baker sells rye bread"
    assert (await real.doctor()).findings == []


async def test_other_processes_search_and_add_through_a_change_of_model(real: AsyncMemory, folder: Path) -> None:
    settings = real.app.settings
    with python_child(SEARCHER, settings.data_directory, settings.organization, folder) as child:
        assert child.stdin is not None

        def ask(line: str) -> str:
            assert child.stdin is not None
            print(line, file=child.stdin, flush=True)
            return next_line(child)

        assert ask("bread from a bakery") == "the baker sells rye bread"
        changing = asyncio.create_task(real.reembed(str(folder)))
        answers = []
        while not changing.done():
            answers.append(await asyncio.to_thread(ask, "bread from a bakery"))
            await asyncio.to_thread(ask, f"add a stranger asked question {len(answers)}")
        await changing
        answers.append(await asyncio.to_thread(ask, "bread from a bakery"))
        assert set(answers) == {"the baker sells rye bread"}
        child.stdin.close()
        child.wait()
    await real.app.upkeep.fill_pending(real.app.caller)

    report = await real.doctor()
    assert (report.findings, report.pending_vectors) == ([], 0)
    assert report.memories == 601 + len(answers) - 1


async def test_store_of_the_shipped_model_opens_with_it_whatever_is_configured(store: Store, folder: Path) -> None:
    organization = f"test-{uuid4().hex}"
    places = {"data_directory": store.directory, "organization": organization, "linger": 0.5}
    async with AsyncMemory(**places) as memory:
        await memory.add("kept by the shipped model", user_id="bo")
    async with AsyncMemory(**places, embedding_model=str(folder)) as memory:
        assert memory.app.models.current.model == store.app.models.current.model
        assert await best(memory, "shipped") == "kept by the shipped model"
