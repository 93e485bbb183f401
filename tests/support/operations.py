"""Every operation of every service, found by looking; and an example call of each with the ids of somebody else."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from uuid import UUID

import numpy as np

import agentmem
from agentmem import AsyncMemory
from agentmem.features.memories.examination import IndexedBy
from agentmem.features.memories.index_reading import Statistics
from agentmem.features.memories.index_writing import POSTING
from agentmem.features.memories.model import PreparedMemory, StoredVersion
from agentmem.features.memories.searching import Words
from agentmem.features.memories.service import IdempotentRequest
from agentmem.features.memories.visibility import View
from agentmem.foundation.authorization.caller import Caller, Permission
from agentmem.foundation.database.database import Database
from agentmem.kit.ids import MemoryId, Place
from agentmem.pipelines.ingestion.pipeline import Draft
from agentmem.pipelines.retrieval.query import parse_query
from agentmem.pipelines.retrieval.ranking import QueryRanking
from agentmem.schemas.memories import (
    ExportedMemory,
    ExportedVersion,
    MemoryPatch,
    NewMemory,
    OnDuplicate,
    Order,
    Scope,
)

Call = Callable[[Any, Caller, "Foreign"], Awaitable[object]]


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """What a caller could know of another organization, and something prepared to write."""

    model: str
    user_id: str
    run_id: str
    key: str
    live: MemoryId
    deleted: MemoryId
    places: list[Place]
    versions: list[StoredVersion]
    prepared: PreparedMemory
    query: str
    vector: np.ndarray[Any, np.dtype[np.float32]]

    @property
    def scope(self) -> Scope:
        return Scope(user_id=self.user_id)

    @property
    def seen(self) -> list[tuple[StoredVersion, PreparedMemory]]:
        return [(version, self.prepared) for version in self.versions]

    @property
    def terms(self) -> list[str]:
        return list(parse_query(self.query, self.versions[0].record.created_at).terms)

    @property
    def words(self) -> Words:
        """What the words would find if the foreign places were the caller's."""
        found = np.array([(place, 1, 5) for place in self.places], POSTING)
        return Words(
            statistics=Statistics(model=self.model, documents=len(found), average_length=5.0, graph_width=128),
            hashes=tuple(range(len(self.terms))),
            postings=[found] * len(self.terms),
        )

    def ranking(self, words: Words) -> QueryRanking:
        query = parse_query(self.query, self.versions[0].record.created_at)
        return QueryRanking(query, words, limit=100, by_words=True)

    def exported(self) -> ExportedMemory:
        record = next(version.record for version in self.versions if version.record.id == self.live)
        version = ExportedVersion(change="added", changed_by="local", memory=record.model_copy(update={"version": 1}))
        return ExportedMemory(thread=1, versions=[version])


async def foreign_of(memory: AsyncMemory, *, user_id: str, content: str, key: str) -> Foreign:
    """Fill an organization with memories of every state, and gather what could be known of it."""
    app = memory.app
    live = (await memory.add(content, user_id=user_id, run_id="secret-run", idempotency_key=key)).memories[0]
    gone = (await memory.add([{"role": "user", "name": content, "content": content}], user_id=user_id)).memories[0]
    await memory.update(live.id, metadata={"changed": True})
    await memory.delete(gone.id)
    stored = await app.transfer.stored.read(app.caller, Scope(), -1, 100)
    draft = Draft(new=NewMemory(content=content, user_id=user_id), thread=1, on_duplicate=OnDuplicate.RETURN)
    (prepared,) = await app.ingestion.prepare_or_defer([draft])
    assert prepared.vector is not None
    versions = [
        StoredVersion(
            record=version.memory, place=Place(item.place), change=version.change, changed_by=version.changed_by
        )
        for item in stored
        for version in item.exported.versions
    ]
    return Foreign(
        model=app.models.current.model,
        user_id=user_id,
        run_id="secret-run",
        key=key,
        live=MemoryId(live.id),
        deleted=MemoryId(gone.id),
        places=sorted({version.place for version in versions}),
        versions=versions,
        prepared=prepared,
        query=content,
        vector=prepared.vector,
    )


def service_classes() -> list[type]:
    """Find the classes of the features that have operations."""
    return sorted({owner for owner, _ in _members()}, key=lambda owner: owner.__qualname__)


def operations() -> dict[str, Callable[..., Awaitable[object]]]:
    """Find every operation by its name, ``Class.method``."""
    return {f"{owner.__qualname__}.{name}": getattr(owner, name) for owner, name in _members()}


def service_modules() -> Iterator[ModuleType]:
    """Import every module of the features."""
    features = importlib.import_module("agentmem.features")
    for found in pkgutil.walk_packages(features.__path__, f"{agentmem.__name__}.features."):
        yield importlib.import_module(found.name)


def _members() -> Iterator[tuple[type, str]]:
    for module in service_modules():
        for _, owner in inspect.getmembers(module, inspect.isclass):
            if owner.__module__ == module.__name__:
                yield from ((owner, name) for name, value in vars(owner).items() if hasattr(value, "operation"))


def needed(name: str) -> tuple[Permission, str | None]:
    """Give the permission that an operation asks for, and the name of its audit entry."""
    declared: tuple[Permission, str | None] = operations()[name].__dict__["operation"]
    return declared


def service_of(name: str, database: Database) -> object:
    """Make the service of an operation over a database."""
    owner = {cls.__qualname__: cls for cls in service_classes()}[name.split(".", maxsplit=1)[0]]
    return owner(database=database)


def _ids(foreign: Foreign) -> list[UUID]:
    return [foreign.live, foreign.deleted]


CALLS: dict[str, Call] = {
    "MemoryService.add": lambda s, c, f: s.add(c, [f.prepared], IdempotentRequest(key=f.key, digest=b"another")),
    "MemoryService.get": lambda s, c, f: s.get(c, f.live, View()),
    "MemoryService.page": lambda s, c, f: s.page(c, View(), Order.OLDEST, None, 100),
    "MemoryService.history": lambda s, c, f: s.history(c, f.deleted),
    "MemoryService.stats": lambda s, c, f: s.stats(c, Scope()),
    "MemoryService.update": lambda s, c, f: s.update(c, f.live, MemoryPatch(pinned=True), None, None),
    "MemoryService.delete": lambda s, c, f: s.delete(c, f.live),
    "MemoryService.delete_some": lambda s, c, f: s.delete_some(c, f.scope),
    "MemoryService.restore": lambda s, c, f: s.restore(c, f.deleted),
    "MemorySearch.words": lambda s, c, f: s.words(c, Scope(), f.terms),
    "MemorySearch.search": lambda s, c, f: s.search(c, View(), f.words, f.vector, f.ranking(f.words)),
    "MemoryTransfer.read": lambda s, c, f: s.read(c, Scope(), -1, 100),
    "MemoryTransfer.unknown": lambda s, c, f: s.unknown(c, _ids(f)),
    "MemoryTransfer.write": lambda s, c, f: s.write(c, [(f.exported(), f.prepared)]),
    "NearDuplicates.find": lambda s, c, f: s.find(c, Scope(), 0.1),
    "VectorGraph.grow": lambda s, c, f: s.grow(c, f.model, len(f.vector)),
    "VectorGraph.has_long_tail": lambda s, c, f: s.has_long_tail(c, f.model),
    "VectorGraph.fit_width": lambda s, c, f: s.fit_width(c, f.model, len(f.vector)),
    "MemoryUpkeep.active_model": lambda s, c, f: s.active_model(c, f.model),
    "MemoryUpkeep.activate_model": lambda s, c, f: s.activate_model(c, "model of the attacker"),
    "MemoryUpkeep.lacking": lambda s, c, f: s.lacking(c, "no model", Place(-1), 100),
    "MemoryUpkeep.pending": lambda s, c, f: s.pending(c, "no model", Place(-1), 100),
    "MemoryUpkeep.complete": lambda s, c, f: s.complete(c, f.seen),
    "MemoryUpkeep.drop_other_models": lambda s, c, f: s.drop_other_models(c, "no model"),
    "MemoryUpkeep.pack_postings": lambda s, c, f: s.pack_postings(c, None, 0),
    "MemoryUpkeep.purge": lambda s, c, f: s.purge(c, 0),
    "MemoryUpkeep.forget_idempotency_keys": lambda s, c, f: s.forget_idempotency_keys(c),
    "MemoryChecking.examine": lambda s, c, f: s.examine(
        c, IndexedBy(model=f.model, dimensions=len(f.vector), token_dimensions=0)
    ),
    "MemoryChecking.keys": lambda s, c, f: s.keys(c),
    "MemoryMending.texts": lambda s, c, f: s.texts(c, f.places),
    "MemoryMending.rebuild_entries": lambda s, c, f: s.rebuild_entries(c, f.model, f.seen),
    "MemoryMending.rebuild_postings": lambda s, c, f: s.rebuild_postings(c, f.places),
    "MemoryMending.restore_digests": lambda s, c, f: s.restore_digests(c, [(item, 1) for item in _ids(f)]),
    "MemoryMending.recount": lambda s, c, f: s.recount(c),
    "MemoryMending.mend_sessions": lambda s, c, f: s.mend_sessions(c),
    "MemoryMending.remove_orphans": lambda s, c, f: s.remove_orphans(c),
    "OrganizationService.name": lambda s, c, f: s.name(c),
}
"""An example of each operation, called with what belongs to somebody else."""
