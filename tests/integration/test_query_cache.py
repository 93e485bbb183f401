"""The embeddings of queries in Redis: found by every process of an organization, read by nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from uuid import uuid4

import numpy as np
import pytest

from agentmem import AsyncMemory
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.inference.port import Embedding
from agentmem.foundation.inference.shared import SharedQueries, pack, unpack
from agentmem.foundation.state.fallback import FallbackState
from agentmem.foundation.state.memory import MemoryState
from agentmem.foundation.state.redis import RedisState
from agentmem.pipelines.retrieval.embeddings import QueryEmbeddings
from tests.support.patience import PATIENCE
from tests.support.redis_server import RedisServer, redis_server
from tests.support.stores import Store

CANARY = "canary-7f3a of a query"


class CountingModel:
    """A model at the port that counts its runs and makes vectors that carry the text."""

    model = "counting@1"
    dimensions = 32
    token_dimensions = 4
    sends_texts = False

    def __init__(self) -> None:
        self.runs: list[str] = []

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        return [await self.embed_query(text) for text in texts]

    async def embed_query(self, text: str) -> Embedding:
        self.runs.append(text)
        letters = np.frombuffer(text.encode().ljust(32), dtype=np.int8)
        return Embedding(
            pooled=letters[:32].astype(np.float32),
            tokens=letters[:32].reshape(8, 4).copy(),
            spans=np.arange(16, dtype=np.int32).reshape(8, 2),
        )

    async def aclose(self) -> None:
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
async def shared(store: Store, server: RedisServer) -> AsyncIterator[SharedQueries]:
    state = FallbackState(RedisState(server.url, timeout=PATIENCE), MemoryState())
    yield SharedQueries(state=state, keys=store.app.database.keys)
    await state.aclose()


def caller_of(memory: AsyncMemory) -> Caller:
    return memory.app.caller


async def asked_by_another_process(shared: SharedQueries, caller: Caller, model: CountingModel, text: str) -> None:
    another = QueryEmbeddings(shared=shared)
    await another.embed(caller, model, text)
    await another.aclose()


async def test_another_process_finds_what_one_has_embedded(shared: SharedQueries, memory: AsyncMemory) -> None:
    model, text = CountingModel(), uuid4().hex
    await asked_by_another_process(shared, caller_of(memory), model, text)

    found = await QueryEmbeddings(shared=shared).embed(caller_of(memory), model, text)

    made = await CountingModel().embed_query(text)
    assert model.runs == [text]
    assert np.array_equal(found.pooled, made.pooled)
    assert np.array_equal(found.tokens, made.tokens)
    assert np.array_equal(found.spans, made.spans)


async def test_another_organization_does_not_find_it(shared: SharedQueries, store: Store, memory: AsyncMemory) -> None:
    model, text = CountingModel(), uuid4().hex
    await asked_by_another_process(shared, caller_of(memory), model, text)

    await asked_by_another_process(shared, caller_of(await store.organization()), model, text)

    assert model.runs == [text, text]


async def test_redis_sees_neither_the_query_nor_its_vectors(
    shared: SharedQueries, server: RedisServer, memory: AsyncMemory
) -> None:
    model = CountingModel()
    await asked_by_another_process(shared, caller_of(memory), model, CANARY)

    made = await model.embed_query(CANARY)
    with server.client() as client:
        keys = list(client.scan_iter(match=f"agentmem:{{{caller_of(memory).organization_id}}}:query:*"))
        values = [client.get(key) for key in keys]
    assert len(keys) == 1
    for stored in (*keys, *values):
        assert isinstance(stored, bytes)
        assert CANARY.encode() not in stored
        assert made.pooled.tobytes()[:16] not in stored
        assert made.tokens.tobytes()[:8] not in stored


@pytest.mark.parametrize("change", [lambda value: value[:-1] + b"x", lambda value: b"", lambda value: value[:20]])
async def test_a_changed_value_is_made_anew(
    shared: SharedQueries, server: RedisServer, memory: AsyncMemory, change: object
) -> None:
    assert callable(change)
    model, text = CountingModel(), uuid4().hex
    await asked_by_another_process(shared, caller_of(memory), model, text)
    with server.client() as client:
        (key,) = client.scan_iter(match=f"agentmem:{{{caller_of(memory).organization_id}}}:query:*")
        client.set(key, change(client.get(key)))

    await asked_by_another_process(shared, caller_of(memory), model, text)

    assert model.runs == [text, text]


async def test_a_value_moved_to_another_query_does_not_open(
    shared: SharedQueries, server: RedisServer, memory: AsyncMemory
) -> None:
    model = CountingModel()
    for text in ("one", "two"):
        await asked_by_another_process(shared, caller_of(memory), model, text)
    with server.client() as client:
        one, two = client.scan_iter(match=f"agentmem:{{{caller_of(memory).organization_id}}}:query:*")
        value = client.get(one)
        assert isinstance(value, bytes)
        client.set(two, value)

    for text in ("one", "two"):
        await asked_by_another_process(shared, caller_of(memory), model, text)

    assert len(model.runs) == 3


async def test_vectors_of_another_length_are_not_read() -> None:
    model = CountingModel()
    data = pack(await model.embed_query("text"))

    assert unpack(data, model) is not None
    assert unpack(data[:-1], model) is None
    assert unpack(data[:3], model) is None
    model.dimensions = 33
    assert unpack(data, model) is None
