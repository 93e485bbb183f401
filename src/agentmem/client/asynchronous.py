"""The client of an AgentMem server for asyncio programs; it has the methods of the embedded library."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from typing import Self, Unpack
from uuid import UUID

import httpx

from agentmem.client import calls
from agentmem.client.batching import Batcher
from agentmem.client.calls import Day, Moment
from agentmem.client.connection import connect_async
from agentmem.client.following import Follower
from agentmem.client.namespaces_async import (
    AsyncAudit,
    AsyncJobs,
    AsyncKeys,
    AsyncMembers,
    AsyncOwnOrganization,
    AsyncPlatform,
)
from agentmem.client.networks_async import AsyncNetworks
from agentmem.client.paging import async_items
from agentmem.client.person import Person
from agentmem.client.privacy_async import AsyncPrivacy
from agentmem.client.streams import LineSender, Progress, async_pieces, stream
from agentmem.client.transport import DEFAULT_URL, starred
from agentmem.client.webhooks_async import AsyncWebhooks
from agentmem.schemas.entities import EntityKind, EntitySeen
from agentmem.schemas.events import Event
from agentmem.schemas.health import HealthReport, Reembedded, StoreInfo, Vacuumed
from agentmem.schemas.keywords import Given, MemoryKeywords, PatchKeywords, ScopeKeywords, TaintKeywords, ViewKeywords
from agentmem.schemas.memories import (
    Added,
    AddedMany,
    Change,
    Deleted,
    Imported,
    MemoryRecord,
    NearDuplicate,
    NewMemory,
    OnDuplicate,
    Order,
    Origin,
    PackedContext,
    Page,
    Provenance,
    SearchMode,
    SearchResults,
    Stats,
)
from agentmem.schemas.organizations import Me
from agentmem.schemas.provenance import Undone
from agentmem.schemas.requests import IdAtVersion, PatchOf
from agentmem.schemas.usage import UsageReport


class AsyncClient:
    """An AgentMem server, seen from an asyncio program.

    ``async with AsyncClient(api_key) as memory`` has the methods of :class:`AsyncMemory` with the same meaning, and
    raises the same errors. ``timeout`` is in seconds and holds for connecting, sending and waiting each; ``retries`` is
    how often a call is sent again where that is safe. An address that is not of this machine must be ``https://``
    unless ``insecure`` allows otherwise. A ``signing_key`` of the API key signs all that is sent but
    streams. A ``person`` acts in the place of an API key. Proxies and certificates of your own go into ``transport``.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str = DEFAULT_URL,
        timeout: float = 30.0,
        retries: int = 2,
        insecure: bool = False,
        signing_key: str | None = None,
        person: Person | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._connection = connect_async(
            api_key,
            base_url,
            timeout=timeout,
            retries=retries,
            insecure=insecure,
            signing_key=signing_key,
            person=person,
            transport=transport,
        )
        self._described = f"AsyncClient({starred(api_key)}, base_url={base_url!r})"
        self.audit = AsyncAudit(self._connection)
        self.jobs = AsyncJobs(self._connection)
        self.keys = AsyncKeys(self._connection)
        self.members = AsyncMembers(self._connection)
        self.networks = AsyncNetworks(self._connection)
        self.organization = AsyncOwnOrganization(self._connection)
        self.platform = AsyncPlatform(self._connection)
        self.privacy = AsyncPrivacy(self._connection)
        self.webhooks = AsyncWebhooks(self._connection)

    def __repr__(self) -> str:
        return self._described

    async def aclose(self) -> None:
        """Close the connections; closing twice is allowed."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def add(
        self,
        content: Given | Sequence[Given],
        *,
        idempotency_key: str | None = None,
        on_duplicate: OnDuplicate | str | None = None,
        **attributes: Unpack[MemoryKeywords],
    ) -> Added:
        """Remember a text, chat messages, or a list of either; all of it or, if it raises, nothing.

        See :meth:`AsyncMemory.add`. Every add carries an idempotency key, a new one unless you give it: an add that is
        sent twice because the connection broke is done once.
        """
        return await self._connection.send(
            calls.add(calls.read_all(content, attributes), idempotency_key, on_duplicate)
        )

    async def add_many(
        self,
        items: Iterable[Given] | AsyncIterable[Given],
        *,
        progress: Progress | None = None,
        on_duplicate: OnDuplicate | str | None = None,
        **attributes: Unpack[MemoryKeywords],
    ) -> AddedMany:
        """Remember any number of texts, messages or memories, read as a stream and sent in batches.

        ``progress`` is called with the size of each batch once it is stored. If an item is not valid, the batches
        before it are stored and the error says so.
        """
        added = duplicates = 0
        async for batch in _batches(items, Batcher(attributes)):
            answer = await self._connection.send(calls.add(batch, None, on_duplicate))
            added += len(answer.memories) - len(answer.duplicates)
            duplicates += len(answer.duplicates)
            if progress is not None:
                progress(len(batch))
        return AddedMany(added=added, duplicates=duplicates)

    async def get(
        self, memory_id: UUID | str, *, as_of: Moment | None = None, known_at: Moment | None = None
    ) -> MemoryRecord:
        """Read one memory; raises :class:`NotFound`."""
        return await self._connection.send(calls.get(memory_id, as_of, known_at))

    async def list(
        self,
        *,
        order: Order | str = Order.NEWEST,
        limit: int = 100,
        cursor: str | None = None,
        **view: Unpack[ViewKeywords],
    ) -> Page[MemoryRecord]:
        """Read a page of memories in order; pass ``next_cursor`` on for the page after it."""
        return await self._connection.send(calls.page({**view, "order": order, "limit": limit, "cursor": cursor}))

    def iterate(
        self, *, order: Order | str = Order.NEWEST, page_size: int = 100, **view: Unpack[ViewKeywords]
    ) -> AsyncIterator[MemoryRecord]:
        """Read all memories in order, a page at a time and each when its first memory is wanted."""
        return async_items(lambda cursor: self.list(order=order, limit=page_size, cursor=cursor, **view))

    def events(self, *, types: Sequence[str] = ("*",), after: int | None = None) -> AsyncIterator[Event]:
        """Follow what is done in the organization as it happens, for ever; for owners and admins.

        ``types`` are whole types or groups of them (``memory.*``). It goes on by itself where a connection broke off.
        To go on in another program, keep the ``sequence`` of the last event and give it as ``after``; raises
        :class:`EventsGone` when what came after it is not kept any more.
        """
        return self._connection.follow(Follower(types, after))

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
        values = {**view, "query": query, "limit": limit, "mode": mode, "explain": explain}
        return await self._connection.send(calls.search(values))

    async def context(self, query: str, *, budget: int = 2000, **view: Unpack[ViewKeywords]) -> PackedContext:
        """Pack the memories that answer a query into a text of at most ``budget`` tokens, with citations."""
        return await self._connection.send(calls.context({**view, "query": query, "budget": budget}))

    async def update(
        self, memory_id: UUID | str, *, if_version: int | None = None, **changes: Unpack[PatchKeywords]
    ) -> MemoryRecord:
        """Change a memory by adding a version; raises :class:`VersionConflict` unless it is at ``if_version``.

        It is sent again after a broken connection only if it names ``if_version``; should the first one have been done,
        the second raises :class:`VersionConflict`.
        """
        return await self._connection.send(calls.update(memory_id, if_version, changes))

    async def update_many(self, changes: Sequence[PatchOf | Mapping[str, object]]) -> Sequence[MemoryRecord]:
        """Change up to 1,000 memories, all or none: each change names an ``id`` and may name an ``if_version``."""
        return await self._connection.send(calls.update_many(changes))

    async def pin(self, memory_id: UUID | str, *, pinned: bool = True, if_version: int | None = None) -> MemoryRecord:
        """Pin a memory, or unpin it."""
        return await self._connection.send(calls.pin(memory_id, if_version, pinned=pinned))

    async def delete(self, memory_id: UUID | str, *, if_version: int | None = None) -> None:
        """Delete a memory; :meth:`restore` brings it back until it is purged."""
        await self._connection.send(calls.delete(memory_id, if_version))

    async def delete_many(self, memories: Sequence[UUID | str | IdAtVersion | Mapping[str, object]]) -> Deleted:
        """Delete up to 1,000 memories, all or none, by their ids; an item with ``if_version`` must be at it."""
        return await self._connection.send(calls.delete_many(memories))

    async def delete_all(self, **scope: Unpack[ScopeKeywords]) -> Deleted:
        """Delete all memories of a scope, in batches; raises :class:`EmptyScope` when no id is given."""
        return await self._connection.send(calls.delete_all(scope))

    async def restore(self, memory_id: UUID | str, *, if_version: int | None = None) -> MemoryRecord:
        """Bring a deleted memory back."""
        return await self._connection.send(calls.restore(memory_id, if_version))

    async def history(self, memory_id: UUID | str) -> Sequence[Change]:
        """Read every version of a memory with what changed it, oldest first; deleted memories have one too."""
        return await self._connection.send(calls.history(memory_id))

    async def provenance(self, memory_id: UUID | str) -> Provenance:
        """Read who wrote a memory, with which key and from what; deleted memories have it too."""
        return await self._connection.send(calls.provenance(memory_id))

    async def promote(
        self, memory_id: UUID | str, authority: Origin | str, *, if_version: int | None = None
    ) -> MemoryRecord:
        """Trust a memory further than before; raises :class:`Conflict` where it is trusted so far already."""
        return await self._connection.send(calls.promote(memory_id, authority, if_version))

    async def taint(self, *, dry_run: bool = True, **named: Unpack[TaintKeywords]) -> Undone:
        """Take what is no longer believed, and all that was derived from it, out of every read; or only count it."""
        return await self._connection.send(calls.taint(named, dry_run=dry_run))

    async def rollback(self, to: Moment, *, dry_run: bool = True, **scope: Unpack[ScopeKeywords]) -> Undone:
        """Take the memories of a scope, or all, back to what they were at a moment; or only count them."""
        return await self._connection.send(calls.rollback(to, scope, dry_run=dry_run))

    async def stats(self, **scope: Unpack[ScopeKeywords]) -> Stats:
        """Count the memories of a scope, or of the whole organization."""
        return await self._connection.send(calls.stats(scope))

    async def entities(
        self, kind: EntityKind | str, *, limit: int = 100, cursor: str | None = None, **scope: Unpack[ScopeKeywords]
    ) -> Page[EntitySeen]:
        """List the ``users``, ``agents``, ``runs`` or ``apps`` that memories belong to, with their counts."""
        return await self._connection.send(calls.entities(kind, limit, cursor, scope))

    async def usage(self, *, since: Day | None = None, until: Day | None = None) -> UsageReport:
        """Read what the organization stores, what it may, and its requests by day and key; both days count."""
        return await self._connection.send(calls.usage(since, until))

    async def me(self) -> Me:
        """Say who is asking: the organization, the member behind the key, and what this key may do."""
        return await self._connection.send(calls.me())

    def export(self, **scope: Unpack[ScopeKeywords]) -> AsyncIterator[str]:
        """Read the memories of a scope with their histories, one JSON object a line, while they arrive."""
        return self._connection.lines(calls.export(scope))

    async def import_(
        self,
        lines: Iterable[str] | AsyncIterable[str],
        *,
        progress: Progress | None = None,
        **attributes: Unpack[MemoryKeywords],
    ) -> Imported:
        """Send JSON lines as a stream: what :meth:`export` gave, or memories and messages as :meth:`add_many` takes.

        ``progress`` is called with the number of lines of each piece that is sent. Raises :class:`ImportFailed` that
        names the first line at fault; the batches before it are stored, and importing again passes over what is there.
        """
        body = async_pieces(lines, LineSender(progress))
        return await self._connection.upload(calls.import_(attributes), body)

    async def duplicates(self, *, threshold: float = 0.95, **scope: Unpack[ScopeKeywords]) -> Sequence[NearDuplicate]:
        """Find pairs of memories in one scope whose vectors are at least this similar (cosine)."""
        return await self._connection.send(calls.duplicates(threshold, scope))

    async def doctor(self, *, repair: bool = False, progress: Progress | None = None) -> HealthReport:
        """Prove that every version opens and that the indexes say what the texts say; report what is wrong.

        ``progress`` is called once, at the end, with the number of versions.
        """
        report = await self._connection.send(calls.doctor(repair=repair))
        if progress is not None:
            progress(report.versions)
        return report

    async def vacuum(self, *, purge_after_days: int | None = None) -> Vacuumed:
        """Remove for good what was deleted so many days ago (default: the server's setting), and tidy up."""
        return await self._connection.send(calls.vacuum(purge_after_days))

    async def info(self) -> StoreInfo:
        """Describe the store: versions, counts, keys and settings, without any secret."""
        return await self._connection.send(calls.info())

    async def reembed(self, model: str, *, progress: Progress | None = None) -> Reembedded:
        """Embed every memory by another model and put it in force; for operators.

        ``progress`` is called once, at the end, with the number of texts embedded.
        """
        done = await self._connection.send(calls.reembed(model))
        if progress is not None:
            progress(done.embedded)
        return done


async def _batches(
    items: Iterable[Given] | AsyncIterable[Given], batcher: Batcher
) -> AsyncIterator[Sequence[NewMemory]]:
    async for item in stream(items):
        if batch := batcher.take(item):
            yield batch
    if batch := batcher.rest():
        yield batch
