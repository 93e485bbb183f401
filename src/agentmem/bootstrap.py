"""The composition root: from settings to a running application; the only module that picks adapters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import structlog

from agentmem.errors import ConfigurationError
from agentmem.features.memories.checking import MemoryChecking
from agentmem.features.memories.graph import VectorGraph
from agentmem.features.memories.mending import MemoryMending
from agentmem.features.memories.near_duplicates import NearDuplicates
from agentmem.features.memories.searching import MemorySearch
from agentmem.features.memories.service import MemoryService
from agentmem.features.memories.transfer import MemoryTransfer
from agentmem.features.memories.upkeep import MemoryUpkeep
from agentmem.features.organizations.service import OrganizationService, organization_id_of
from agentmem.foundation.authorization.caller import Caller, local_operator
from agentmem.foundation.database.connect import ExternalServer, Server, connect_as_owner
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.embedded.layout import Layout
from agentmem.foundation.database.embedded.server import EmbeddedServer
from agentmem.foundation.database.failures import translated
from agentmem.foundation.database.inspect import Caretaker
from agentmem.foundation.database.migrate import bring_up_to_date
from agentmem.foundation.encryption.providers.file import FileKeyProvider
from agentmem.foundation.inference.cache import CachedQueries
from agentmem.foundation.inference.loaded import Models
from agentmem.foundation.inference.multilingual import MULTILINGUAL_MODEL
from agentmem.foundation.inference.open import DEFAULT_MODEL, open_embedder
from agentmem.foundation.inference.port import Embedder
from agentmem.kit.clock import utc_now
from agentmem.pipelines.health.doctor import Doctor
from agentmem.pipelines.health.info import Information
from agentmem.pipelines.ingestion.pipeline import Ingestion
from agentmem.pipelines.ingestion.transfer import Transfer
from agentmem.pipelines.ingestion.upkeep import Upkeep
from agentmem.pipelines.retrieval.pipeline import Retrieval
from agentmem.settings import Settings

Result = TypeVar("Result")
log = structlog.get_logger(__name__)


KEPT_QUERIES: Final = 1024
"""Query embeddings that a process keeps: about 4 MB, and immutable, so that processes cannot disagree."""


@dataclass(frozen=True, kw_only=True)
class App:
    """A running AgentMem: what an entrypoint calls."""

    settings: Settings
    caller: Caller
    database: Database
    server: Server
    models: Models
    organizations: OrganizationService
    memories: MemoryService
    near_duplicates: NearDuplicates
    ingestion: Ingestion
    transfer: Transfer
    retrieval: Retrieval
    upkeep: Upkeep
    doctor: Doctor
    information: Information


@asynccontextmanager
async def open_app(settings: Settings) -> AsyncIterator[App]:
    """Open everything that the settings name, and close it at the end; several may be open in one process."""
    async with AsyncExitStack() as stack:
        loading = asyncio.create_task(_open_embedder(settings, settings.embedding_model))
        stack.push_async_callback(_discard, loading)
        server = await asyncio.to_thread(_attach, settings)
        stack.push_async_callback(asyncio.to_thread, server.detach)
        await asyncio.to_thread(_migrate, server, migrate=settings.migrate)
        provider = await FileKeyProvider.open(settings.master_key_file)
        database = Database.open(server, provider, pool_size=settings.pool_size)
        stack.push_async_callback(database.close)
        models = Models(await loading, partial(_open_embedder, settings))
        stack.push_async_callback(models.aclose)
        caller = local_operator(organization_id_of(settings.organization))
        await OrganizationService(database=database).register(caller, settings.organization)
        app = _assemble(settings, caller, database, server, models)
        await app.upkeep.follow(caller)
        filling = asyncio.create_task(app.upkeep.keep_filled(caller))
        stack.push_async_callback(_discard, filling)
        yield app


def _assemble(settings: Settings, caller: Caller, database: Database, server: Server, models: Models) -> App:
    memories = MemoryService(database=database)
    ingestion = Ingestion(memories=memories, models=models, clock=utc_now, content_limit=settings.content_limit)
    upkeep, checking = MemoryUpkeep(database=database), partial(MemoryChecking.over, database)
    caretaker = Caretaker(server=server)
    graph = VectorGraph(database=database)
    keeping = Upkeep(memories=upkeep, graph=graph, models=models, ingestion=ingestion, caretaker=caretaker)
    return App(
        settings=settings,
        caller=caller,
        database=database,
        server=server,
        models=models,
        organizations=OrganizationService(database=database),
        memories=memories,
        near_duplicates=NearDuplicates(database=database),
        ingestion=ingestion,
        transfer=Transfer(stored=MemoryTransfer(database=database), ingestion=ingestion),
        retrieval=Retrieval(search_operation=MemorySearch(database=database), models=models, clock=utc_now),
        upkeep=keeping,
        doctor=Doctor(
            checking=checking,
            mending=MemoryMending(database=database),
            upkeep=upkeep,
            models=models,
            prepare=keeping.prepare,
            caretaker=caretaker,
            closed=_closed_paths(settings),
            guarded=() if settings.database_url is not None else (settings.data_directory,),
        ),
        information=Information(
            settings=settings,
            server=server,
            caretaker=caretaker,
            provider=database.provider,
            models=models,
            memories=memories,
            checking=checking(),
        ),
    )


def _closed_paths(settings: Settings) -> tuple[Path, ...]:
    """Name what nobody but its owner may reach: the master key and, of an embedded server, its files."""
    layout = Layout(directory=settings.data_directory)
    embedded = () if settings.database_url is not None else (layout.cluster, layout.log.parent)
    return settings.master_key_file, *embedded


def _attach(settings: Settings) -> Server:
    if settings.database_url is not None:
        return ExternalServer(conninfo=settings.database_url.get_secret_value())
    return EmbeddedServer.attach(settings.data_directory, linger=settings.linger)


def _migrate(server: Server, *, migrate: bool) -> None:
    with translated(), connect_as_owner(server) as connection:
        bring_up_to_date(connection, migrate=migrate)


async def _open_embedder(settings: Settings, model: str) -> Embedder:
    """Open a model by the name that a setting may have, or by the id under which a store records it."""
    if "@" not in model or await asyncio.to_thread(Path(model).is_dir):
        return await _open_named(settings, model)
    for name in _names_of(settings, model):
        try:
            embedder = await _open_named(settings, name)
        except ConfigurationError as error:
            log.warning("model_not_opened", name=name, reason=error.message)
            continue
        if embedder.model == model:
            return embedder
        await embedder.aclose()
    raise ConfigurationError(
        f"The store's memories are embedded by the model {model}, which is neither shipped with this version nor the "
        f"one that the settings name ({settings.embedding_model}).",
        hint="Set AGENTMEM_EMBEDDING_MODEL to the name or folder of that model.",
    )


def _names_of(settings: Settings, model: str) -> list[str]:
    """Give the names under which a recorded model may be opened, the likeliest first."""
    recorded = model.split("@", 1)[0]
    known = [name for name in (DEFAULT_MODEL, MULTILINGUAL_MODEL) if recorded.startswith(name)]
    return list(dict.fromkeys([*known, settings.embedding_model]))


async def _open_named(settings: Settings, model: str) -> Embedder:
    name = DEFAULT_MODEL if model == "default" else model
    embedder = await open_embedder(
        name,
        threads=settings.embedding_threads,
        base_url=settings.embedding_url,
        api_key=settings.embedding_key,
        dimensions=settings.embedding_dimensions,
    )
    return CachedQueries(embedder, capacity=KEPT_QUERIES)


async def _discard(task: asyncio.Task[Result]) -> None:
    """Do not leave a task behind: the loading of a model when opening fails elsewhere, or work in the background."""
    if not task.done():
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
