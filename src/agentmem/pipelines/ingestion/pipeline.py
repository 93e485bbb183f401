"""From text and messages to stored memories: check, analyse, embed, then one operation that writes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from time import perf_counter
from typing import Final, Protocol, TypeVar
from uuid import UUID

import structlog

from agentmem.errors import ContentTooLarge, EmbedderUnavailable, EmptyScope, Fault, InvalidInput
from agentmem.features.memories.binding import as_bound
from agentmem.features.memories.index_entry import build, indexed_text
from agentmem.features.memories.index_writing import PENDING, WORDS
from agentmem.features.memories.model import PreparedMemory, origin_of
from agentmem.features.memories.service import IdempotentRequest, MemoryService
from agentmem.features.organizations.rules import Rules
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.inference.loaded import Models
from agentmem.foundation.inference.port import Embedder, Embedding
from agentmem.foundation.telemetry.traces import span
from agentmem.kit.clock import Clock
from agentmem.kit.ids import MemoryId, uuid7
from agentmem.pipelines.ingestion.masking import masked
from agentmem.schemas.classification import embeddable, highest
from agentmem.schemas.memories import (
    Added,
    AddedMany,
    Deleted,
    NewMemory,
    OnDuplicate,
    Origin,
    Scope,
)

BATCH: Final = 256
"""Memories of a bulk add that are embedded and written together."""
BATCH_CHARACTERS: Final = 4_000_000
"""Characters of them: a batch of long texts is full before it has as many memories."""

EMBEDDED_CHARACTERS: Final = 8000
"""How much of a memory its vectors see; the mean of more would mean little. Its words are indexed to the end."""

INLINE_CHARACTERS: Final = 4000
"""Longer text is analysed in a thread, so that it does not hold up other callers."""

Progress = Callable[[int], None]
log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A memory to add, with the number of the conversation in this call that it belongs to."""

    new: NewMemory
    thread: int
    on_duplicate: OnDuplicate

    @property
    def characters(self) -> int:
        """The length of its content."""
        return len(self.new.content)

    @property
    def parents(self) -> Sequence[UUID]:
        """The memories that it is made of."""
        return () if self.new.source is None else self.new.source.parents


@dataclass(frozen=True, kw_only=True)
class Ingestion:
    """Adds and changes memories."""

    memories: MemoryService
    models: Models
    rules: Rules
    clock: Clock
    content_limit: int
    embedded: Callable[[float], None]
    """Is told how many seconds each call of the model took."""

    async def add(self, caller: Caller, drafts: Sequence[Draft], idempotency_key: str | None = None) -> Added:
        """Store drafts, all or none, in one transaction."""
        with span("memory.add", memories=len(drafts)):
            drafts = await self.admitted(caller, drafts)
            with span("memory.add.embed"):
                prepared = await self.prepare_or_defer(caller, drafts)
            request = None
            if idempotency_key is not None:
                request = IdempotentRequest(key=idempotency_key, digest=_digest(drafts))
            with span("memory.add.store"):
                return await self.memories.add(caller, prepared, request, await self._caps(caller))

    async def add_many(
        self, caller: Caller, drafts: AsyncIterator[Draft], progress: Progress | None = None
    ) -> AddedMany:
        """Store any number of drafts in batches; each batch is stored whole, or not at all if it raises.

        A batch is written while the next one is embedded.
        """
        counts = _Counts(progress)
        writing: asyncio.Task[Added] | None = None
        try:
            async for batch in batches(drafts):
                prepared = await self.prepare_or_defer(caller, await self.admitted(caller, batch))
                if writing is not None:
                    counts.count(await writing)
                caps = await self._caps(caller)
                writing = asyncio.create_task(self.memories.add(caller, prepared, None, caps))
        finally:
            # A draft that cannot be read does not undo the batches before it.
            if writing is not None:
                counts.count(await writing)
        return AddedMany(added=counts.added, duplicates=counts.duplicates)

    async def _caps(self, caller: Caller) -> Mapping[Origin, int]:
        return (await self.rules.provenance(caller.organization_id)).hourly_caps

    async def delete_all(self, caller: Caller, scope: Scope) -> Deleted:
        """Delete the memories of a scope, batch by batch; raises :class:`EmptyScope` when it names no id."""
        if scope.is_empty:
            raise EmptyScope(
                "Deleting by scope needs at least one of user_id, agent_id, run_id and app_id.",
                hint="Nothing was deleted.",
            )
        deleted = 0
        while step := await self.memories.delete_some(caller, scope):
            deleted += step
        return Deleted(deleted=deleted)

    async def admitted(self, caller: Caller, drafts: Sequence[Draft]) -> list[Draft]:
        """Give drafts as the caller's organization lets them be stored: masked, if that is its rule, and classified.

        What is made of other memories has the highest of their classes at least.
        """
        rule = await self.rules.masking(caller.organization_id)
        if rule.policy.stored:
            drafts = [replace(draft, new=masked(draft.new, rule)) for draft in drafts]
        classifier = await self.rules.classification(caller.organization_id)
        parents = {parent for draft in drafts for parent in draft.parents}
        held = await self.memories.classes(caller, sorted(parents)) if parents else {}
        classified = []
        for draft in drafts:
            ruled = classifier.ruled(as_bound(caller, draft.new), origin_of(caller, draft.new))
            wanted = highest([ruled, *(held[parent] for parent in draft.parents if parent in held)])
            classified.append(replace(draft, new=draft.new.model_copy(update={"classification": wanted})))
        return classified

    async def prepare_or_defer(self, caller: Caller, drafts: Sequence[Draft]) -> list[PreparedMemory]:
        """Analyse and embed drafts; when the embedder fails they are prepared without vectors, which come later."""
        for draft in drafts:
            self.check_size(draft.new.content)
            self.check_expiry(draft.new.expires_at)
        embedder = self.models.current
        try:
            return await self.prepare(caller, drafts, embedder)
        except EmbedderUnavailable as error:
            log.warning("embedder_failed", memories=len(drafts), reason=error.code)
            return self._analysed(drafts, [None] * len(drafts), embedder)

    def check_size(self, content: str) -> None:
        """Refuse content that is longer than the limit."""
        size = len(content.encode())
        if size > self.content_limit:
            message = f"has {size} bytes, the limit is {self.content_limit}"
            raise ContentTooLarge(
                f"The content {message}.",
                hint="Split it, or raise AGENTMEM_CONTENT_LIMIT.",
                faults=[Fault(field="content", message=message)],
            )

    def check_expiry(self, expires_at: datetime | None) -> None:
        """Refuse a time of expiry that has passed."""
        if expires_at is not None and expires_at <= self.clock():
            raise InvalidInput(f"expires_at {expires_at.isoformat()} is in the past.")

    async def prepare(self, caller: Caller, drafts: Sequence[Draft], embedder: Embedder) -> list[PreparedMemory]:
        """Analyse and embed drafts; raises :class:`EmbedderUnavailable`.

        What the model may not read has no vectors. What leaves the machine is masked where the caller's organization
        says so.
        """
        may = embeddable(sends_texts=embedder.sends_texts)
        texts = [
            indexed_text(draft.new.content, draft.new.actor)[:EMBEDDED_CHARACTERS]
            for draft in drafts
            if draft.new.classification in may
        ]
        if embedder.sends_texts:
            rule = await self.rules.masking(caller.organization_id)
            texts = [rule.sent(text) for text in texts]
        began = perf_counter()
        made = iter(await embedder.embed_documents(texts) if texts else [])
        self.embedded(perf_counter() - began)
        embeddings = [next(made) if draft.new.classification in may else None for draft in drafts]
        if sum(draft.characters for draft in drafts) <= INLINE_CHARACTERS:
            return self._analysed(drafts, embeddings, embedder)
        return await asyncio.to_thread(self._analysed, drafts, embeddings, embedder)

    def _analysed(
        self, drafts: Sequence[Draft], embeddings: Sequence[Embedding | None], embedder: Embedder
    ) -> list[PreparedMemory]:
        now, may = self.clock(), embeddable(sends_texts=embedder.sends_texts)
        prepared = []
        for draft, embedding in zip(drafts, embeddings, strict=True):
            # The day is indexed as words, so that the row must keep the very moment that was indexed.
            occurred_at = draft.new.occurred_at or now
            prepared.append(
                PreparedMemory(
                    memory_id=MemoryId(uuid7()),
                    new=draft.new.model_copy(update={"occurred_at": occurred_at}),
                    thread=draft.thread,
                    entry=build(draft.new.content, draft.new.actor, occurred_at, embedding),
                    vector=None if embedding is None else embedding.pooled,
                    model=embedder.model if embedding else PENDING if draft.new.classification in may else WORDS,
                    on_duplicate=draft.on_duplicate,
                )
            )
        return prepared


class _Counts:
    """What a bulk add has stored so far."""

    def __init__(self, progress: Progress | None) -> None:
        self.added = self.duplicates = 0
        self._progress = progress

    def count(self, stored: Added) -> None:
        self.added += len(stored.memories) - len(stored.duplicates)
        self.duplicates += len(stored.duplicates)
        if self._progress is not None:
            self._progress(len(stored.memories))


class _Threaded(Protocol):
    @property
    def thread(self) -> int: ...

    @property
    def characters(self) -> int: ...


Threaded = TypeVar("Threaded", bound=_Threaded)


async def batches(items: AsyncIterator[Threaded]) -> AsyncIterator[list[Threaded]]:
    """Cut a stream into batches, between two conversations where that is possible."""
    batch: list[Threaded] = []
    characters = 0
    async for item in items:
        fullness = max(len(batch) / BATCH, characters / BATCH_CHARACTERS)
        if fullness >= 1 and (item.thread != batch[-1].thread or fullness >= 2):
            yield batch
            batch, characters = [], 0
        batch.append(item)
        characters += item.characters
    if batch:
        yield batch


def _digest(drafts: Sequence[Draft]) -> bytes:
    hashed = hashlib.sha256()
    for draft in drafts:
        hashed.update(draft.new.model_dump_json().encode())
        hashed.update(f"\n{draft.thread} {draft.on_duplicate}\n".encode())
    return hashed.digest()
