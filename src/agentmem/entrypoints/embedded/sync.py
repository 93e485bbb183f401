"""The embedded library for programs without asyncio: a thin face over :class:`AsyncMemory`."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Sequence
from typing import Self, TypeVar, Unpack
from uuid import UUID

from agentmem.entrypoints.embedded.memory import AsyncMemory, Moment, Progress
from agentmem.errors import Closed
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
from agentmem.schemas.provenance import Undone

Result = TypeVar("Result")


class _Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="agentmem", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[object, object, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _shut_down(loop: _Loop, memory: AsyncMemory) -> None:
    loop.run(memory.aclose())
    loop.stop()


class Memory:
    """A memory store; open from the start, closed by :meth:`close` or at the end of a ``with`` block.

    Takes the same settings, and has the same methods with the same meaning, as :class:`AsyncMemory`. Safe to share
    between threads. A store that is not closed is let go when the program ends; what was acknowledged
    is stored.
    """

    def __init__(self, **settings: object) -> None:
        self._memory = AsyncMemory(**settings)
        loop = _Loop()
        try:
            loop.run(self._memory.open())
        except BaseException:
            loop.stop()
            raise
        self._loop = loop
        self._finalizer = weakref.finalize(self, _shut_down, loop, self._memory)
        # At the program's end the operating system lets go of the store, and threads can no longer be started.
        self._finalizer.atexit = False

    def close(self) -> None:
        """Close the store; closing twice is allowed."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, work: Coroutine[object, object, Result]) -> Result:
        if not self._finalizer.alive:
            work.close()
            raise Closed("This store is closed.", hint="Make a new Memory().")
        return self._loop.run(work)

    def add(
        self,
        content: Given | Sequence[Given],
        *,
        idempotency_key: str | None = None,
        on_duplicate: OnDuplicate | str | None = None,
        **attributes: Unpack[MemoryKeywords],
    ) -> Added:
        """See :meth:`AsyncMemory.add`."""
        return self._run(
            self._memory.add(content, idempotency_key=idempotency_key, on_duplicate=on_duplicate, **attributes)
        )

    def add_many(
        self,
        items: Iterable[Given],
        *,
        progress: Progress | None = None,
        on_duplicate: OnDuplicate | str | None = None,
        **attributes: Unpack[MemoryKeywords],
    ) -> AddedMany:
        """See :meth:`AsyncMemory.add_many`."""
        return self._run(self._memory.add_many(items, progress=progress, on_duplicate=on_duplicate, **attributes))

    def get(
        self, memory_id: UUID | str, *, as_of: Moment | None = None, known_at: Moment | None = None
    ) -> MemoryRecord:
        """See :meth:`AsyncMemory.get`."""
        return self._run(self._memory.get(memory_id, as_of=as_of, known_at=known_at))

    def list(
        self,
        *,
        order: Order | str = Order.NEWEST,
        limit: int = 100,
        cursor: str | None = None,
        **view: Unpack[ViewKeywords],
    ) -> Page[MemoryRecord]:
        """See :meth:`AsyncMemory.list`."""
        return self._run(self._memory.list(order=order, limit=limit, cursor=cursor, **view))

    def search(
        self,
        query: str,
        *,
        limit: int = 10,
        mode: SearchMode | str = SearchMode.HYBRID,
        explain: bool = False,
        **view: Unpack[ViewKeywords],
    ) -> SearchResults:
        """See :meth:`AsyncMemory.search`."""
        return self._run(self._memory.search(query, limit=limit, mode=mode, explain=explain, **view))

    def context(self, query: str, *, budget: int = 2000, **view: Unpack[ViewKeywords]) -> PackedContext:
        """See :meth:`AsyncMemory.context`."""
        return self._run(self._memory.context(query, budget=budget, **view))

    def update(
        self, memory_id: UUID | str, *, if_version: int | None = None, **changes: Unpack[PatchKeywords]
    ) -> MemoryRecord:
        """See :meth:`AsyncMemory.update`."""
        return self._run(self._memory.update(memory_id, if_version=if_version, **changes))

    def pin(self, memory_id: UUID | str, *, pinned: bool = True) -> MemoryRecord:
        """See :meth:`AsyncMemory.pin`."""
        return self._run(self._memory.pin(memory_id, pinned=pinned))

    def delete(self, memory_id: UUID | str) -> None:
        """See :meth:`AsyncMemory.delete`."""
        return self._run(self._memory.delete(memory_id))

    def delete_all(self, **scope: Unpack[ScopeKeywords]) -> Deleted:
        """See :meth:`AsyncMemory.delete_all`."""
        return self._run(self._memory.delete_all(**scope))

    def restore(self, memory_id: UUID | str) -> MemoryRecord:
        """See :meth:`AsyncMemory.restore`."""
        return self._run(self._memory.restore(memory_id))

    def history(self, memory_id: UUID | str) -> Sequence[Change]:
        """See :meth:`AsyncMemory.history`."""
        return self._run(self._memory.history(memory_id))

    def provenance(self, memory_id: UUID | str) -> Provenance:
        """See :meth:`AsyncMemory.provenance`."""
        return self._run(self._memory.provenance(memory_id))

    def promote(self, memory_id: UUID | str, authority: Origin | str) -> MemoryRecord:
        """See :meth:`AsyncMemory.promote`."""
        return self._run(self._memory.promote(memory_id, authority))

    def taint(self, *, dry_run: bool = True, **named: Unpack[TaintKeywords]) -> Undone:
        """See :meth:`AsyncMemory.taint`."""
        return self._run(self._memory.taint(dry_run=dry_run, **named))

    def rollback(self, to: Moment, *, dry_run: bool = True, **scope: Unpack[ScopeKeywords]) -> Undone:
        """See :meth:`AsyncMemory.rollback`."""
        return self._run(self._memory.rollback(to, dry_run=dry_run, **scope))

    def stats(self, **scope: Unpack[ScopeKeywords]) -> Stats:
        """See :meth:`AsyncMemory.stats`."""
        return self._run(self._memory.stats(**scope))

    def export(self, **scope: Unpack[ScopeKeywords]) -> Iterator[str]:
        """See :meth:`AsyncMemory.export`."""
        lines = self._memory.export(**scope)
        while (line := self._run(_next(lines))) is not None:
            yield line

    def import_(
        self, lines: Iterable[str], *, progress: Progress | None = None, **attributes: Unpack[MemoryKeywords]
    ) -> Imported:
        """See :meth:`AsyncMemory.import_`."""
        return self._run(self._memory.import_(lines, progress=progress, **attributes))

    def duplicates(self, *, threshold: float = 0.95, **scope: Unpack[ScopeKeywords]) -> Sequence[NearDuplicate]:
        """See :meth:`AsyncMemory.duplicates`."""
        return self._run(self._memory.duplicates(threshold=threshold, **scope))

    def doctor(self, *, repair: bool = False, progress: Progress | None = None) -> HealthReport:
        """See :meth:`AsyncMemory.doctor`."""
        return self._run(self._memory.doctor(repair=repair, progress=progress))

    def vacuum(self, *, purge_after_days: int | None = None) -> Vacuumed:
        """See :meth:`AsyncMemory.vacuum`."""
        return self._run(self._memory.vacuum(purge_after_days=purge_after_days))

    def info(self) -> StoreInfo:
        """See :meth:`AsyncMemory.info`."""
        return self._run(self._memory.info())

    def reembed(self, model: str, *, progress: Progress | None = None) -> Reembedded:
        """See :meth:`AsyncMemory.reembed`."""
        return self._run(self._memory.reembed(model, progress=progress))


async def _next(lines: AsyncIterator[str]) -> str | None:
    return await anext(lines, None)
