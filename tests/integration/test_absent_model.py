"""A store whose embedding model cannot be loaded any more: it opens, finds by words, and takes another model."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from uuid import uuid4

import pytest

import agentmem.foundation.inference
from agentmem import AsyncMemory
from agentmem.errors import ConfigurationError, EmbedderUnavailable, IntegrityError
from agentmem.foundation.inference.open import DEFAULT_MODEL
from agentmem.foundation.inference.port import Embedder
from tests.support.embedders import HashEmbedder
from tests.support.stores import Store, with_models

OLD = "the ferry leaves at noon"
Open = Callable[..., AbstractAsyncContextManager[AsyncMemory]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder of its own: the shipped weights under another name, so that it has another id."""
    shipped = Path(agentmem.foundation.inference.__file__).parent / "models" / DEFAULT_MODEL
    copy = tmp_path / "renamed"
    shutil.copytree(shipped, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "name": "renamed"}))
    return copy


@pytest.fixture
def opening(store: Store) -> Open:
    """Give a way to open one organization again and again."""
    organization = f"test-{uuid4().hex}"

    def again(**settings: object) -> AsyncMemory:
        return AsyncMemory(data_directory=store.directory, organization=organization, linger=0.5, **settings)

    return again


@pytest.fixture
async def model(opening: Open, folder: Path) -> str:
    """The id of the model by which a memory of the store was embedded."""
    async with opening(embedding_model=str(folder)) as memory:
        await memory.add(OLD)
        return memory.app.models.current.model


@pytest.fixture
async def memory(opening: Open, folder: Path, model: str) -> AsyncIterator[AsyncMemory]:
    """The store without its model's folder."""
    shutil.move(folder, folder.with_name("gone"))
    async with opening(embedding_model=str(folder)) as opened:
        yield opened


async def best(memory: AsyncMemory, query: str, mode: str) -> str:
    return (await memory.search(query, limit=1, mode=mode)).hits[0].memory.content


async def test_store_whose_model_is_gone_finds_by_words_and_says_so(memory: AsyncMemory, model: str) -> None:
    found = await memory.search("when does the ferry leave?")

    assert [hit.memory.content for hit in found.hits] == [OLD]
    assert found.degraded == "embedder"
    with pytest.raises(EmbedderUnavailable, match=f"{model}.*reembed"):
        await memory.search("ferry", mode="semantic")


async def test_memory_added_while_the_model_is_gone_waits_for_its_vector(memory: AsyncMemory) -> None:
    assert (await memory.add("the train leaves at one")).pending
    assert await best(memory, "train", "hybrid") == "the train leaves at one"
    report = await memory.doctor(repair=True)
    assert (report.findings, report.pending_vectors) == ([], 1)
    assert (await memory.info()).embedding_dimensions == 0
    await memory.vacuum()


async def test_store_whose_model_is_gone_is_embedded_by_another(opening: Open, memory: AsyncMemory) -> None:
    await memory.add("the train leaves at one")
    done = await memory.reembed("default")

    assert done.embedded == 2
    assert await best(memory, "departure of the boat", "semantic") == OLD
    report = await memory.doctor()
    assert (report.findings, report.pending_vectors) == ([], 0)
    async with opening() as again:
        assert await best(again, "departure of the boat", "semantic") == OLD


async def test_model_that_comes_back_is_used_without_opening_the_store_again(memory: AsyncMemory, folder: Path) -> None:
    await memory.add("the train leaves at one")
    shutil.move(folder.with_name("gone"), folder)

    assert await memory.app.upkeep.fill_pending(memory.app.caller) == 1
    found = await memory.search("departure of the boat")
    assert found.degraded is None
    assert await best(memory, "departure by rail", "semantic") == "the train leaves at one"


async def test_process_without_the_model_goes_over_to_the_one_that_another_process_puts_in_force(
    opening: Open, memory: AsyncMemory
) -> None:
    async with opening() as other:
        await other.reembed("default")

    found = await memory.search("departure of the boat")
    assert ([hit.memory.content for hit in found.hits], found.degraded) == ([OLD], None)


async def test_store_whose_model_is_not_configured_any_more_opens_without_it(
    opening: Open, folder: Path, model: str
) -> None:
    async with opening() as memory:
        assert (await memory.search("ferry")).degraded == "embedder"
    async with opening(embedding_model=str(folder)) as memory:
        assert (await memory.search("ferry")).degraded is None


async def test_store_whose_model_is_damaged_opens_without_it(opening: Open, folder: Path, model: str) -> None:
    (folder / "model.onnx").write_bytes(b"not what was shipped")
    async with opening(embedding_model=str(folder)) as memory:
        assert (await memory.search("ferry")).degraded == "embedder"


async def test_store_of_the_shipped_model_opens_with_it_though_the_configured_one_is_gone(
    opening: Open, folder: Path
) -> None:
    async with opening() as memory:
        await memory.add(OLD)
    shutil.rmtree(folder)
    async with opening(embedding_model=str(folder)) as memory:
        assert await best(memory, "departure of the boat", "semantic") == OLD


async def test_new_store_is_refused_when_its_model_cannot_be_loaded(opening: Open, folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"not what was shipped")
    with pytest.raises(IntegrityError, match="damaged"):
        async with opening(embedding_model=str(folder)):
            pass
    shutil.rmtree(folder)
    with pytest.raises(ConfigurationError, match="There is no embedding model"):
        async with opening(embedding_model=str(folder)):
            pass


async def test_organization_whose_model_is_gone_does_not_take_that_of_the_others_in_the_process(store: Store) -> None:
    async def opener(name: str) -> Embedder:
        raise ConfigurationError(f"There is no embedding model {name!r}.")

    app = with_models(store.app, HashEmbedder("small@1", 48), opener)
    ours, theirs = await store.organization(app=app), await store.organization(app=app)
    for memory in (ours, theirs):
        await memory.add(OLD)
    await app.upkeep.memories.activate_model(theirs.app.caller, "lost@1")

    found = await theirs.search("ferry")
    assert ([hit.memory.content for hit in found.hits], found.degraded) == ([OLD], "embedder")
    assert (await theirs.doctor()).healthy
    found = await ours.search("ferry")
    assert ([hit.memory.content for hit in found.hits], found.degraded) == ([OLD], None)
