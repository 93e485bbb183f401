"""The client of an AgentMem server for programs without asyncio; it has the methods of the embedded library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Self, Unpack
from uuid import UUID

import httpx

from agentmem.client import calls, paging
from agentmem.client.batching import Batcher
from agentmem.client.calls import Day, Moment
from agentmem.client.connection import connect
from agentmem.client.following import Follower
from agentmem.client.namespaces_sync import Audit, Jobs, Keys, Members, OwnOrganization, Platform
from agentmem.client.networks_sync import Networks
from agentmem.client.person import Person
from agentmem.client.privacy_sync import Privacy
from agentmem.client.streams import LineSender, Progress, checked, pieces
from agentmem.client.transport import DEFAULT_URL, starred
from agentmem.client.webhooks_sync import Webhooks
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


class Client:
    """An AgentMem server, seen from a program without asyncio.

    ``with Client(api_key) as memory`` has the methods of :class:`Memory` with the same meaning, and
    raises the same errors. ``timeout`` is in seconds and holds for connecting, sending and waiting each; ``retries`` is
    how often a call is sent again where that is safe. An address that is not of this machine must be ``https://``
    unless ``insecure`` allows otherwise. A ``signing_key`` of the API key signs all that is sent but
    streams. A ``person`` acts in the place of an API key. Proxies and certificates of your own go into ``transport``.
    Threads may share one client.
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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._connection = connect(
            api_key,
            base_url,
            timeout=timeout,
            retries=retries,
            insecure=insecure,
            signing_key=signing_key,
            person=person,
            transport=transport,
        )
        self._described = f"Client({starred(api_key)}, base_url={base_url!r})"
        self.audit = Audit(self._connection)
        self.jobs = Jobs(self._connection)
        self.keys = Keys(self._connection)
        self.members = Members(self._connection)
        self.networks = Networks(self._connection)
        self.organization = OwnOrganization(self._connection)
        self.platform = Platform(self._connection)
        self.privacy = Privacy(self._connection)
        self.webhooks = Webhooks(self._connection)

    def __repr__(self) -> str:
        return self._described

    def close(self) -> None:
        """Close the connections; closing twice is allowed."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(
        self,
        content: Given | Sequence[Given],
        *,
        idempotency_key: str | None = None,
        on_duplicate: OnDuplicate | str | None = None,
        **attributes: Unpack[MemoryKeywords],
    ) -> Added:
        """See :meth:`AsyncClient.add`."""
        return self._connection.send(calls.add(calls.read_all(content, attributes), idempotency_key, on_duplicate))

    def add_many(
        self,
        items: Iterable[Given],
        *,
        progress: Progress | None = None,
        on_duplicate: OnDuplicate | str | None = None,
        **attributes: Unpack[MemoryKeywords],
    ) -> AddedMany:
        """See :meth:`AsyncClient.add_many`."""
        added = duplicates = 0
        for batch in _batches(items, Batcher(attributes)):
            answer = self._connection.send(calls.add(batch, None, on_duplicate))
            added += len(answer.memories) - len(answer.duplicates)
            duplicates += len(answer.duplicates)
            if progress is not None:
                progress(len(batch))
        return AddedMany(added=added, duplicates=duplicates)

    def get(
        self, memory_id: UUID | str, *, as_of: Moment | None = None, known_at: Moment | None = None
    ) -> MemoryRecord:
        """See :meth:`AsyncClient.get`."""
        return self._connection.send(calls.get(memory_id, as_of, known_at))

    def list(
        self,
        *,
        order: Order | str = Order.NEWEST,
        limit: int = 100,
        cursor: str | None = None,
        **view: Unpack[ViewKeywords],
    ) -> Page[MemoryRecord]:
        """See :meth:`AsyncClient.list`."""
        return self._connection.send(calls.page({**view, "order": order, "limit": limit, "cursor": cursor}))

    def iterate(
        self, *, order: Order | str = Order.NEWEST, page_size: int = 100, **view: Unpack[ViewKeywords]
    ) -> Iterator[MemoryRecord]:
        """See :meth:`AsyncClient.iterate`."""
        return paging.items(lambda cursor: self.list(order=order, limit=page_size, cursor=cursor, **view))

    def events(self, *, types: Sequence[str] = ("*",), after: int | None = None) -> Iterator[Event]:
        """See :meth:`AsyncClient.events`."""
        return self._connection.follow(Follower(types, after))

    def search(
        self,
        query: str,
        *,
        limit: int = 10,
        mode: SearchMode | str = SearchMode.HYBRID,
        explain: bool = False,
        **view: Unpack[ViewKeywords],
    ) -> SearchResults:
        """See :meth:`AsyncClient.search`."""
        values = {**view, "query": query, "limit": limit, "mode": mode, "explain": explain}
        return self._connection.send(calls.search(values))

    def context(self, query: str, *, budget: int = 2000, **view: Unpack[ViewKeywords]) -> PackedContext:
        """See :meth:`AsyncClient.context`."""
        return self._connection.send(calls.context({**view, "query": query, "budget": budget}))

    def update(
        self, memory_id: UUID | str, *, if_version: int | None = None, **changes: Unpack[PatchKeywords]
    ) -> MemoryRecord:
        """See :meth:`AsyncClient.update`."""
        return self._connection.send(calls.update(memory_id, if_version, changes))

    def update_many(self, changes: Sequence[PatchOf | Mapping[str, object]]) -> Sequence[MemoryRecord]:
        """See :meth:`AsyncClient.update_many`."""
        return self._connection.send(calls.update_many(changes))

    def pin(self, memory_id: UUID | str, *, pinned: bool = True, if_version: int | None = None) -> MemoryRecord:
        """See :meth:`AsyncClient.pin`."""
        return self._connection.send(calls.pin(memory_id, if_version, pinned=pinned))

    def delete(self, memory_id: UUID | str, *, if_version: int | None = None) -> None:
        """See :meth:`AsyncClient.delete`."""
        self._connection.send(calls.delete(memory_id, if_version))

    def delete_many(self, memories: Sequence[UUID | str | IdAtVersion | Mapping[str, object]]) -> Deleted:
        """See :meth:`AsyncClient.delete_many`."""
        return self._connection.send(calls.delete_many(memories))

    def delete_all(self, **scope: Unpack[ScopeKeywords]) -> Deleted:
        """See :meth:`AsyncClient.delete_all`."""
        return self._connection.send(calls.delete_all(scope))

    def restore(self, memory_id: UUID | str, *, if_version: int | None = None) -> MemoryRecord:
        """See :meth:`AsyncClient.restore`."""
        return self._connection.send(calls.restore(memory_id, if_version))

    def history(self, memory_id: UUID | str) -> Sequence[Change]:
        """See :meth:`AsyncClient.history`."""
        return self._connection.send(calls.history(memory_id))

    def provenance(self, memory_id: UUID | str) -> Provenance:
        """See :meth:`AsyncClient.provenance`."""
        return self._connection.send(calls.provenance(memory_id))

    def promote(self, memory_id: UUID | str, authority: Origin | str, *, if_version: int | None = None) -> MemoryRecord:
        """See :meth:`AsyncClient.promote`."""
        return self._connection.send(calls.promote(memory_id, authority, if_version))

    def taint(self, *, dry_run: bool = True, **named: Unpack[TaintKeywords]) -> Undone:
        """See :meth:`AsyncClient.taint`."""
        return self._connection.send(calls.taint(named, dry_run=dry_run))

    def rollback(self, to: Moment, *, dry_run: bool = True, **scope: Unpack[ScopeKeywords]) -> Undone:
        """See :meth:`AsyncClient.rollback`."""
        return self._connection.send(calls.rollback(to, scope, dry_run=dry_run))

    def stats(self, **scope: Unpack[ScopeKeywords]) -> Stats:
        """See :meth:`AsyncClient.stats`."""
        return self._connection.send(calls.stats(scope))

    def entities(
        self, kind: EntityKind | str, *, limit: int = 100, cursor: str | None = None, **scope: Unpack[ScopeKeywords]
    ) -> Page[EntitySeen]:
        """See :meth:`AsyncClient.entities`."""
        return self._connection.send(calls.entities(kind, limit, cursor, scope))

    def usage(self, *, since: Day | None = None, until: Day | None = None) -> UsageReport:
        """See :meth:`AsyncClient.usage`."""
        return self._connection.send(calls.usage(since, until))

    def me(self) -> Me:
        """See :meth:`AsyncClient.me`."""
        return self._connection.send(calls.me())

    def export(self, **scope: Unpack[ScopeKeywords]) -> Iterator[str]:
        """See :meth:`AsyncClient.export`."""
        return self._connection.lines(calls.export(scope))

    def import_(
        self,
        lines: Iterable[str],
        *,
        progress: Progress | None = None,
        **attributes: Unpack[MemoryKeywords],
    ) -> Imported:
        """See :meth:`AsyncClient.import_`."""
        body = pieces(lines, LineSender(progress))
        return self._connection.upload(calls.import_(attributes), body)

    def duplicates(self, *, threshold: float = 0.95, **scope: Unpack[ScopeKeywords]) -> Sequence[NearDuplicate]:
        """See :meth:`AsyncClient.duplicates`."""
        return self._connection.send(calls.duplicates(threshold, scope))

    def doctor(self, *, repair: bool = False, progress: Progress | None = None) -> HealthReport:
        """See :meth:`AsyncClient.doctor`."""
        report = self._connection.send(calls.doctor(repair=repair))
        if progress is not None:
            progress(report.versions)
        return report

    def vacuum(self, *, purge_after_days: int | None = None) -> Vacuumed:
        """See :meth:`AsyncClient.vacuum`."""
        return self._connection.send(calls.vacuum(purge_after_days))

    def info(self) -> StoreInfo:
        """See :meth:`AsyncClient.info`."""
        return self._connection.send(calls.info())

    def reembed(self, model: str, *, progress: Progress | None = None) -> Reembedded:
        """See :meth:`AsyncClient.reembed`."""
        done = self._connection.send(calls.reembed(model))
        if progress is not None:
            progress(done.embedded)
        return done


def _batches(items: Iterable[Given], batcher: Batcher) -> Iterator[Sequence[NewMemory]]:
    for item in checked(items):
        if batch := batcher.take(item):
            yield batch
    if batch := batcher.rest():
        yield batch
