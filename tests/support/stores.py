"""Fixtures: one embedded store for each worker of a run, and an organization of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from agentmem import AsyncMemory
from agentmem.bootstrap import App
from agentmem.foundation.authorization.caller import local_operator
from agentmem.foundation.authorization.platform import organization_id_of
from agentmem.foundation.database.connect import connect_as_owner
from agentmem.foundation.inference.loaded import Models, Opener
from agentmem.foundation.inference.port import Embedder
from tests.support.embedded_server import is_down, wait_until

Owner = psycopg.Connection[tuple[object, ...]]


class Store:
    """An open embedded store and, in it, as many organizations as tests ask for."""

    def __init__(self, directory: Path, memory: AsyncMemory) -> None:
        self.directory = directory
        self.memory = memory

    @property
    def app(self) -> App:
        """The running application, bound to an organization that no test writes to."""
        return self.memory.app

    async def organization(self, name: str | None = None, *, app: App | None = None) -> AsyncMemory:
        """Give the face of a new, empty organization; it shares the pool and the model, so it costs milliseconds."""
        app = app or self.app
        name = name or f"test-{uuid4().hex}"
        caller = local_operator(organization_id_of(name))
        await app.organizations.register(caller, name)
        await app.upkeep.memories.active_model(caller, app.models.current.model)
        memory = AsyncMemory(data_directory=self.directory, organization=name)
        memory._opened = replace(app, caller=caller, settings=memory._settings)
        return memory

    async def with_embedder(self, embedder: Embedder, opener: Opener | None = None) -> AsyncMemory:
        """Give the face of a new organization whose texts another embedder reads."""
        return await self.organization(app=with_models(self.app, embedder, opener))

    def another_process(self, memory: AsyncMemory, embedder: Embedder, opener: Opener | None = None) -> AsyncMemory:
        """Give a second face of an organization, with a model of its own as another process has."""
        twin = AsyncMemory(data_directory=self.directory, organization=memory._settings.organization)
        twin._opened = replace(
            with_models(self.app, embedder, opener), caller=memory.app.caller, settings=memory._settings
        )
        return twin

    def connect_as_owner(self) -> Owner:
        """Open a connection that row-level security does not bind: it belongs to a superuser."""
        connection = connect_as_owner(self.app.server)
        connection.autocommit = True
        return connection


def with_models(app: App, embedder: Embedder, opener: Opener | None = None) -> App:
    """Give the application with another embedder loaded, and another way to load more."""
    models = Models(embedder, opener or app.models._opener)
    ingestion = replace(app.ingestion, models=models)
    upkeep = replace(app.upkeep, models=models, ingestion=ingestion)
    return replace(
        app,
        models=models,
        ingestion=ingestion,
        batches=replace(app.batches, ingestion=ingestion),
        transfer=replace(app.transfer, ingestion=ingestion),
        retrieval=replace(app.retrieval, models=models),
        upkeep=upkeep,
        doctor=replace(app.doctor, models=models, prepare=upkeep.prepare),
    )


@pytest.fixture(scope="session")
def store_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data directory that the tests of this worker share."""
    directory = tmp_path_factory.mktemp("shared") / "store"
    yield directory
    wait_until(lambda: is_down(directory))


@pytest.fixture(scope="session")
async def store(store_directory: Path) -> AsyncIterator[Store]:
    """The store that the tests of this worker share; each test makes an organization of its own in it."""
    async with AsyncMemory(data_directory=store_directory, organization="shared", linger=0.5) as memory:
        yield Store(store_directory, memory)


@pytest.fixture
async def memory(store: Store) -> AsyncMemory:
    """An empty organization in the shared store."""
    return await store.organization()


@pytest.fixture
def owner(store: Store) -> Iterator[Owner]:
    """A connection to the shared store that sees the rows of every organization."""
    with store.connect_as_owner() as connection:
        yield connection


@pytest.fixture
def database_url(store: Store) -> Iterator[str]:
    """An empty database of its own on the server of the shared store."""
    name = f"fresh_{uuid4().hex}"
    with store.connect_as_owner() as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield make_conninfo(store.app.server.conninfo, dbname=name)
    with store.connect_as_owner() as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
