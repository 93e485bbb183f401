"""The embedded library: the whole engine in your process, on a store that processes share."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Final, Self, TypeVar, Unpack
from uuid import UUID

from agentmem.bootstrap import App, open_app
from agentmem.errors import Closed, InvalidInput
from agentmem.kit.ids import MemoryId
from agentmem.pipelines.ingestion.drafts import DraftReader, drafts_of_call
from agentmem.pipelines.ingestion.pipeline import Draft
from agentmem.pipelines.retrieval.pipeline import view_of
from agentmem.schemas.base import parse
from agentmem.schemas.health import HealthReport, Reembedded, StoreInfo, Vacuumed
from agentmem.schemas.keywords import Given, MemoryKeywords, PatchKeywords, ScopeKeywords, TaintKeywords, ViewKeywords
from agentmem.schemas.maintenance import DoctorRequest, ReembedRequest, VacuumRequest
from agentmem.schemas.memories import (
    Added,
    AddedMany,
    Change,
    Deleted,
    Imported,
    MemoryPatch,
    MemoryRecord,
    NearDuplicate,
    OnDuplicate,
    Order,
    Origin,
    PackedContext,
    Page,
    Provenance,
    Scope,
    SearchMode,
    SearchResults,
    Stats,
)
from agentmem.schemas.provenance import Promotion, Rollback, Taint, Undone
from agentmem.schemas.requests import (
    ContextRequest,
    ListRequest,
    ReadRequest,
    SearchRequest,
    SimilarityRequest,
    VersionRequest,
)
from agentmem.schemas.views import Items
from agentmem.settings import Settings

Progress = Callable[[int], None]
LONGEST_KEY: Final = 255
Moment = datetime | str


class AsyncMemory:
    """A memory store for asyncio programs.

    ``async with AsyncMemory() as memory`` opens the store in the data directory of the settings (or the one given) and
    closes it at the end; :meth:`open` and :meth:`aclose` do the same apart. Keywords are settings, such as
    ``data_directory``, ``database_url`` or ``embedding_model``, and win over the environment. Any number may be open
    in one process or in many.
    """

    def __init__(self, **settings: object) -> None:
        self._settings = Settings.load(**settings)
        self._stack: AsyncExitStack | None = None
        self._opened: App | None = None

    async def open(self) -> Self:
        """Open the store: start or join its server, bring its schema up to date, load the model."""
        if self._opened is not None:
            raise Closed("This store is open already.")
        async with AsyncExitStack() as stack:
            self._opened = await stack.enter_async_context(open_app(self._settings))
            self._stack = stack.pop_all()
        return self

    async def aclose(self) -> None:
        """Close the store; closing twice is allowed."""
        stack, self._stack, self._opened = self._stack, None, None
        if stack is not None:
            await stack.aclose()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def app(self) -> App:
        """The application behind this store; raises :class:`Closed` unless it is open."""
        if self._opened is None:
            raise Closed("This store is not open.", hint="Use it inside `with`, or call open() first.")
        return self._opened

    async def add(
        self,
        content: Given | Sequence[Given],
        *,
        idempotency_key: str | None = None,
        on_duplicate: OnDuplicate | str | None = None,
        **attributes: Unpack[MemoryKeywords],
    ) -> Added:
        """Remember a text, chat messages, or a list of either; all of it or, if it raises, nothing.

        Turns of one call, or with one ``run_id``, are neighbours of a conversation. ``on_duplicate`` is ``return``
        (give the memory that the scope holds already; the default for texts) or ``keep`` (the default for messages).
        """
        drafts = drafts_of_call(content, attributes, _policy(on_duplicate))
        return await self.app.ingestion.add(self.app.caller, drafts, _key(idempotency_key))

    async def add_many(
        self,
        items: Iterable[Given] | AsyncIterable[Given],
        *,
        progress: Progress | None = None,
        on_duplicate: OnDuplicate | str | None = None,
        **attributes: Unpack[MemoryKeywords],
    ) -> AddedMany:
        """Remember any number of texts, messages or memories, read as a stream and stored in batches.

        ``progress`` is called with the size of each batch once it is stored. If an item is not valid, the batches
        before it are stored and the error says so.
        """
        reader = DraftReader(attributes, _policy(on_duplicate))
        return await self.app.ingestion.add_many(self.app.caller, _read(items, reader), progress)

    async def get(
        self, memory_id: UUID | str, *, as_of: Moment | None = None, known_at: Moment | None = None
    ) -> MemoryRecord:
        """Read one memory; raises :class:`NotFound`."""
        request = parse(ReadRequest, {"as_of": as_of, "known_at": known_at})
        record = await self.app.memories.get(self.app.caller, _memory_id(memory_id), view_of(request))
        return await self.app.disclosure.tell(self.app.caller, record)

    async def list(
        self,
        *,
        order: Order | str = Order.NEWEST,
        limit: int = 100,
        cursor: str | None = None,
        **view: Unpack[ViewKeywords],
    ) -> Page[MemoryRecord]:
        """Read a page of memories in order; pass ``next_cursor`` on for the page after it."""
        request = parse(ListRequest, {**_view(view), "order": order, "limit": limit, "cursor": cursor})
        page = await self.app.memories.page(
            self.app.caller, view_of(request), request.order, request.cursor, request.limit
        )
        return await self.app.disclosure.tell(self.app.caller, page)

    async def search(
        self,
        query: str,
        *,
        limit: int = 10,
        mode: SearchMode | str = SearchMode.HYBRID,
        explain: bool = False,
        **view: Unpack[ViewKeywords],
    ) -> SearchResults:
        """Find the memories that answer a query, best first, with scores from 0 to 1.

        ``mode`` is ``hybrid``, ``lexical`` (words alone) or ``semantic`` (meaning alone); ``explain`` adds what each
        signal contributed.
        """
        values = {"query": query, "limit": limit, "mode": mode, "explain": explain}
        request = parse(SearchRequest, {**_view(view), **values})
        return await self.app.disclosure.tell(
            self.app.caller, await self.app.retrieval.search(self.app.caller, request)
        )

    async def context(self, query: str, *, budget: int = 2000, **view: Unpack[ViewKeywords]) -> PackedContext:
        """Pack the memories that answer a query into a text of at most ``budget`` tokens, with citations."""
        request = parse(ContextRequest, {**_view(view), "query": query, "budget": budget})
        packed = await self.app.retrieval.context(self.app.caller, request)
        return await self.app.disclosure.tell(self.app.caller, packed)

    async def update(
        self, memory_id: UUID | str, *, if_version: int | None = None, **changes: Unpack[PatchKeywords]
    ) -> MemoryRecord:
        """Change a memory by adding a version; raises :class:`VersionConflict` unless it is at ``if_version``."""
        patch = parse(MemoryPatch, changes)
        expected = parse(VersionRequest, {"if_version": if_version}).if_version
        return await self.app.batches.update_one(self.app.caller, _memory_id(memory_id), patch, expected)

    async def pin(self, memory_id: UUID | str, *, pinned: bool = True) -> MemoryRecord:
        """Pin a memory, or unpin it."""
        return await self.update(memory_id, pinned=pinned)

    async def delete(self, memory_id: UUID | str) -> None:
        """Delete a memory; :meth:`restore` brings it back until it is purged."""
        await self.app.memories.delete(self.app.caller, _memory_id(memory_id))

    async def delete_all(self, **scope: Unpack[ScopeKeywords]) -> Deleted:
        """Delete all memories of a scope, in batches; raises :class:`EmptyScope` when no id is given."""
        return await self.app.ingestion.delete_all(self.app.caller, parse(Scope, scope))

    async def restore(self, memory_id: UUID | str) -> MemoryRecord:
        """Bring a deleted memory back."""
        return await self.app.memories.restore(self.app.caller, _memory_id(memory_id))

    async def history(self, memory_id: UUID | str) -> Sequence[Change]:
        """Read every version of a memory with what changed it, oldest first; deleted memories have one too."""
        changes = await self.app.memories.history(self.app.caller, _memory_id(memory_id))
        return (await self.app.disclosure.tell(self.app.caller, Items(items=list(changes)))).items

    async def provenance(self, memory_id: UUID | str) -> Provenance:
        """Read who wrote a memory, with what and from what; deleted memories have it too."""
        return await self.app.trusting.trust.provenance(self.app.caller, _memory_id(memory_id))

    async def promote(self, memory_id: UUID | str, authority: Origin | str) -> MemoryRecord:
        """Trust a memory further than before; raises :class:`Conflict` where it is trusted so far already."""
        promotion = parse(Promotion, {"authority": authority})
        return await self.app.trusting.trust.promote(self.app.caller, _memory_id(memory_id), promotion)

    async def taint(self, *, dry_run: bool = True, **named: Unpack[TaintKeywords]) -> Undone:
        """Take what is no longer believed, and all that was derived from it, out of every read; or only count it."""
        return await self.app.trusting.taint(self.app.caller, parse(Taint, {**named, "dry_run": dry_run}))

    async def rollback(self, to: Moment, *, dry_run: bool = True, **scope: Unpack[ScopeKeywords]) -> Undone:
        """Take the memories of a scope, or all, back to what they were at a moment; or only count them."""
        asked = parse(Rollback, {"to": to, "scope": scope, "dry_run": dry_run})
        return await self.app.trusting.roll_back(self.app.caller, asked)

    async def stats(self, **scope: Unpack[ScopeKeywords]) -> Stats:
        """Count the memories of a scope, or of the whole store."""
        return await self.app.memories.stats(self.app.caller, parse(Scope, scope))

    def export(self, **scope: Unpack[ScopeKeywords]) -> AsyncIterator[str]:
        """Write the memories of a scope with their histories, one JSON object a line, without loss."""
        app = self.app
        return app.disclosure.lines(app.caller, app.transfer.export(app.caller, parse(Scope, scope)))

    async def import_(
        self,
        lines: Iterable[str] | AsyncIterable[str],
        *,
        progress: Progress | None = None,
        **attributes: Unpack[MemoryKeywords],
    ) -> Imported:
        """Read JSON lines: what :meth:`export` wrote, or memories and messages as :meth:`add_many` takes them.

        Raises :class:`ImportFailed` that names the first line at fault; the batches before it are stored, and importing
        again passes over what is there.
        """
        return await self.app.transfer.import_lines(self.app.caller, _stream(lines), attributes, progress)

    async def duplicates(self, *, threshold: float = 0.95, **scope: Unpack[ScopeKeywords]) -> Sequence[NearDuplicate]:
        """Find pairs of memories in one scope whose vectors are at least this similar (cosine)."""
        request = parse(SimilarityRequest, {"threshold": threshold})
        pairs = await self.app.duplicates.find(self.app.caller, parse(Scope, scope), request.threshold)
        return (await self.app.disclosure.tell(self.app.caller, Items(items=list(pairs)))).items

    async def doctor(self, *, repair: bool = False, progress: Progress | None = None) -> HealthReport:
        """Prove that every version opens and that the indexes say what the texts say; report what is wrong.

        Of vectors, up to a thousand are compared with their texts, chosen by chance; of all, that they are there.
        ``repair`` makes again what can be made from what is stored (index entries, vectors, postings, statistics,
        digests, sessions) and checks again; a damaged content is reported and left alone. ``progress`` is called with
        the number of versions read, in each examination.
        """
        request = parse(DoctorRequest, {"repair": repair})
        return await self.app.doctor.examine(self.app.caller, repair=request.repair, progress=progress)

    async def vacuum(self, *, purge_after_days: int | None = None) -> Vacuumed:
        """Remove for good what was deleted so many days ago (default: the setting), tidy the indexes, free space."""
        asked = parse(VacuumRequest, {"purge_after_days": purge_after_days}).purge_after_days
        days = self.app.settings.purge_after_days if asked is None else asked
        return await self.app.upkeep.vacuum(self.app.caller, days)

    async def info(self) -> StoreInfo:
        """Describe the store: versions, server, counts, keys and settings, without any secret."""
        return await self.app.information.describe(self.app.caller)

    async def reembed(self, model: str, *, progress: Progress | None = None) -> Reembedded:
        """Embed every memory by another model and put it in force; searches go on by the old one until then.

        ``model`` is named as in the setting ``embedding_model``. What was done before an interruption stays done: call
        it again to go on. ``progress`` is called with the number of texts embedded. Raises :class:`Conflict` while
        another process changes the model.
        """
        request = parse(ReembedRequest, {"model": model})
        return await self.app.upkeep.change_model(self.app.caller, request.model, progress)


_SCOPE_KEYS = frozenset(Scope.model_fields)
Item = TypeVar("Item")


def _view(keywords: Mapping[str, object]) -> dict[str, object]:
    """Gather the scope's ids, which callers give side by side with the rest, into the scope of a request."""
    scope = {key: value for key, value in keywords.items() if key in _SCOPE_KEYS}
    return {**{key: value for key, value in keywords.items() if key not in _SCOPE_KEYS}, "scope": scope}


def _memory_id(given: UUID | str) -> MemoryId:
    try:
        return MemoryId(given if isinstance(given, UUID) else UUID(given))
    except (ValueError, AttributeError, TypeError):
        raise InvalidInput(f"{given!r:.80} is not the id of a memory.", hint="Ids are UUIDs.") from None


def _policy(given: OnDuplicate | str | None) -> OnDuplicate | None:
    try:
        return None if given is None else OnDuplicate(given)
    except ValueError:
        raise InvalidInput(f"on_duplicate is return or keep, not {given!r:.80}.") from None


def _key(given: object) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str) or not 0 < len(given) <= LONGEST_KEY or not given.isprintable():
        raise InvalidInput(f"An idempotency key is printable text of 1 to {LONGEST_KEY} characters.")
    return given


async def _read(items: Iterable[Given] | AsyncIterable[Given], reader: DraftReader) -> AsyncIterator[Draft]:
    number = 0
    async for item in _stream(items):
        number += 1
        try:
            yield reader.read(item)
        except InvalidInput as error:
            raise InvalidInput(f"Item {number}: {error.message}", hint="The batches before it are stored.") from None


async def _stream(items: Iterable[Item] | AsyncIterable[Item]) -> AsyncIterator[Item]:
    if isinstance(items, str | bytes | Mapping) or not isinstance(items, AsyncIterable | Iterable):
        raise InvalidInput(f"A stream of items is needed, not {type(items).__name__}.", hint="Give a list of them.")
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
