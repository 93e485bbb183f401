"""Keeping a store in shape: fill in missing vectors, change the model, pack postings, grow the graph, purge, vacuum.

What is to be done is what the tables lack, so that no crash can lose it and any process may go on where another
stopped; jobs and schedules say when.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from agentmem.errors import AgentMemError, EmbedderUnavailable
from agentmem.features.memories.graph import VectorGraph
from agentmem.features.memories.jobs import EMBED, REEMBED
from agentmem.features.memories.model import PreparedMemory, StoredVersion
from agentmem.features.memories.upkeep import Embedded, Lacking, MemoryUpkeep
from agentmem.foundation.authorization.caller import Caller, Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.inspect import Caretaker
from agentmem.foundation.inference.loaded import Models
from agentmem.foundation.inference.port import Embedder
from agentmem.foundation.jobs.model import Job, Work
from agentmem.kit.ids import Place
from agentmem.pipelines.ingestion.pipeline import BATCH, Draft, Ingestion
from agentmem.schemas.classification import embeddable
from agentmem.schemas.health import Reembedded, Vacuumed
from agentmem.schemas.memories import NewMemory, OnDuplicate, Scope

Progress = Callable[[int], None]
Find = Callable[[Caller, Embedded, Place, int], Awaitable[Lacking | None]]
FIRST_LOOK: Final = 1.0
"""Seconds after opening when an embedded store begins its background work: a short-lived process is spared it."""

NEXT_LOOK: Final = 30.0
"""Seconds between two rounds of an embedded store's upkeep."""
CHANGING_MODEL: Final = "changing the embedding model"
log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Upkeep:
    """Background work of a store, in steps that may stop anywhere."""

    memories: MemoryUpkeep
    graph: VectorGraph
    models: Models
    ingestion: Ingestion
    caretaker: Caretaker
    database: Database

    def works(self) -> Sequence[Work]:
        """Give the jobs of a store's upkeep, and what does them."""
        return (Work(kind=EMBED, run=self._embed), Work(kind=REEMBED, run=self._reembed))

    async def keep_following(self, caller: Caller) -> None:
        """Follow the store to the model that it has in force, until cancelled; a failure is logged, and tried again."""
        while True:
            try:
                await self.follow(caller)
            except AgentMemError as error:
                log.warning("model_not_followed", reason=error.code)
            await asyncio.sleep(NEXT_LOOK)

    async def _embed(self, caller: Caller, _: Job) -> None:
        in_force = await self.memories.active_model(caller, self.models.current.model)
        if in_force != self.models.current.model:
            raise EmbedderUnavailable(
                f"The model in force, {in_force}, is not the one that this process has loaded.",
                hint="Change the embedding model of the organization.",
            )
        await self.fill_pending(caller)

    async def _reembed(self, caller: Caller, job: Job) -> None:
        job.progress.total = (await self.ingestion.memories.stats(caller, Scope())).versions

        def count(embedded: int) -> None:
            job.progress.done += embedded

        await self.change_model(caller, str(job.arguments["model"]), count)

    async def look_after(self, caller: Caller) -> None:
        """Embed what is pending and tidy after many adds, once; what has another model in force is left alone."""
        if await self.memories.active_model(caller, self.models.current.model) != self.models.current.model:
            return
        await self.fill_pending(caller)
        if await self.graph.has_long_tail(caller, self.models.current.model):
            await self.tidy(caller)

    async def fill_pending(self, caller: Caller) -> int:
        """Embed the texts whose embedder failed or was another than the model in force, and say how many."""
        embedder = await self.follow(caller)
        return await self._fill(caller, embedder, self.memories.pending, None)

    async def follow(self, caller: Caller) -> Embedder:
        """Load the model that the store has in force, if that is another than the one loaded, or absent."""
        return await self.models.follow(await self.memories.active_model(caller, self.models.current.model))

    async def fill_vectors(self, caller: Caller, embedder: Embedder, progress: Progress | None = None) -> int:
        """Embed all texts that lack vectors of a model, and say how many."""
        filled = 0
        while step := await self._fill(caller, embedder, self.memories.lacking, progress):
            filled += step
        return filled

    async def _fill(self, caller: Caller, embedder: Embedder, find: Find, progress: Progress | None) -> int:
        """Go through the store once, in the order of places; what is added meanwhile may come before, or after."""
        filled, after = 0, Place(-1)
        embedded = Embedded(model=embedder.model, classes=embeddable(sends_texts=embedder.sends_texts))
        while (found := await find(caller, embedded, after, BATCH)) is not None:
            written = await self.memories.complete(caller, await self.prepare(caller, found.versions, embedder))
            filled += written
            after = found.last
            if progress is not None and written:
                progress(written)
        return filled

    async def prepare(
        self, caller: Caller, versions: Sequence[StoredVersion], embedder: Embedder
    ) -> list[tuple[StoredVersion, PreparedMemory]]:
        """Analyse and embed stored texts again, as when they were added; raises :class:`EmbedderUnavailable`."""
        prepared = await self.ingestion.prepare(caller, [_draft(version) for version in versions], embedder)
        return list(zip(versions, prepared, strict=True))

    async def change_model(self, caller: Caller, name: str, progress: Progress | None = None) -> Reembedded:
        """Embed every memory by another model, then put it in force; searches use the old one until then.

        Resumable: what is done stays done. Memories added meanwhile, also by processes that still use the old model,
        are embedded too. Raises :class:`Conflict` while another process changes the model, and :class:`LockLost` when
        another has begun to: this one was cut off from the database meanwhile, say.
        """
        async with self.caretaker.sole(caller.organization_id, CHANGING_MODEL):
            caller = await self.database.fenced(caller, CHANGING_MODEL)
            embedder = await self.models.open(name)
            try:
                embedded = await self._change(caller, embedder, progress)
            except BaseException:
                await embedder.aclose()
                raise
            await self.models.adopt(embedder)
        return Reembedded(model=embedder.model, embedded=embedded)

    async def _change(self, caller: Caller, embedder: Embedder, progress: Progress | None) -> int:
        embedded = await self.fill_vectors(caller, embedder, progress)
        await self._grow_graph(caller, embedder)
        await self.memories.activate_model(caller, embedder.model)
        # What others added by the old model between the last look and the change; what they add after it, before they
        # notice, is found as pending.
        embedded += await self.fill_vectors(caller, embedder, progress)
        await self.memories.drop_other_models(caller, embedder.model)
        await self.graph.fit_width(caller, embedder.model, embedder.dimensions)
        return embedded

    async def tidy(self, caller: Caller) -> tuple[int, int]:
        """Do what speeds up searches: pack postings, and move vectors into the graph when many are outside.

        Says how many terms were packed and how many vectors moved.
        """
        packed = 0
        after, step = await self.memories.pack_postings(caller)
        while after is not None:
            packed += step
            after, step = await self.memories.pack_postings(caller, after)
        embedder = self.models.current
        moved = await self._grow_graph(caller, embedder)
        await self.graph.fit_width(caller, embedder.model, embedder.dimensions)
        return packed, moved

    async def _grow_graph(self, caller: Caller, embedder: Embedder) -> int:
        if not embedder.dimensions or not await self.graph.has_long_tail(caller, embedder.model):
            return 0
        if not await self.caretaker.ensure_graph(embedder.dimensions):
            return 0
        moved = 0
        while step := await self.graph.grow(caller, embedder.model, embedder.dimensions):
            moved += step
        return moved

    async def purge(self, caller: Caller, older_than_days: int) -> int:
        """Remove for good what was deleted so many days ago, and say how much."""
        purged = 0
        while step := await self.memories.purge(caller, older_than_days):
            purged += step
        return purged

    async def vacuum(self, caller: Caller, older_than_days: int) -> Vacuumed:
        """Purge, forget what has expired and tidy; for who manages the platform, give the space back to new rows too.

        That goes through the tables of all organizations; for the others PostgreSQL does it in the background.
        """
        whole = Permission.PLATFORM_MANAGE in caller.permissions
        before = (await self.caretaker.facts()).database_bytes if whole else 0
        purged = await self.purge(caller, older_than_days)
        forgotten = await self.memories.forget_idempotency_keys(caller)
        packed, moved = await self.tidy(caller)
        if whole:
            await self.caretaker.vacuum()
        return Vacuumed(
            purged_memories=purged,
            removed_idempotency_keys=forgotten,
            packed_terms=packed,
            vectors_moved_to_graph=moved,
            bytes_before=before,
            bytes_after=(await self.caretaker.facts()).database_bytes if whole else 0,
        )


def _draft(version: StoredVersion) -> Draft:
    record = version.record
    new = NewMemory(
        content=record.content,
        actor=record.actor,
        user_id=record.user_id,
        occurred_at=record.occurred_at,
        classification=record.classification,
    )
    return Draft(new=new, thread=0, on_duplicate=OnDuplicate.KEEP)
