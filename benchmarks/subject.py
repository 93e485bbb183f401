"""AgentMem as it ships, in a process of its own, driven by lines of JSON like ``mem0/peer.py``.

Adding and searching go through the public :class:`AsyncMemory`. Only three things reach behind it: filling a store
with vectors kept from an earlier run, the encoder alone, and the graph's own answers to measure its recall.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import psycopg
from numpy.typing import NDArray

from agentmem import AsyncMemory
from agentmem.bootstrap import App
from agentmem.features.memories.index_reading import Candidates, Nearest
from agentmem.features.memories.searching import Query, Words
from agentmem.pipelines.retrieval.pipeline import view_of
from agentmem.schemas.memories import Scope
from agentmem.schemas.requests import ReadRequest
from benchmarks.dialogue import dialogue
from benchmarks.embedding_cache import CachedDocuments
from benchmarks.footprint import postgres_memory, process_memory

Answer = dict[str, object]
Said = dict[str, str]

BUCKETS: Final = 100
"""Every memory of a filled store is in one of so many buckets, so that a filter on one lets 1 % pass."""
CACHE: Final = Path(".cache") / "bench" / "embeddings.sqlite"
NEAREST: Final = 10
ROUNDING: Final = 2e-3
"""Stored vectors are rounded to half precision: similarities this close count as equal."""


class Subject:
    """One open store and the commands that it takes."""

    def __init__(self) -> None:
        self._opened: AsyncMemory | None = None

    @property
    def _memory(self) -> AsyncMemory:
        assert self._opened is not None
        return self._opened

    @property
    def _app(self) -> App:
        return self._memory.app

    async def open(self, *, directory: str, linger: float) -> Answer:
        """Open or make the store in a directory."""
        began = time.perf_counter()
        self._opened = await AsyncMemory(data_directory=Path(directory) / "store", linger=linger).open()
        return {"ms": (time.perf_counter() - began) * 1000, "model": self._app.models.current.model}

    async def close(self) -> None:
        """Close the store."""
        if self._opened is not None:
            await self._opened.aclose()

    async def add(self, *, turns: list[Said], user: str) -> Answer:
        """Add one turn at a time, as a program that follows a conversation."""
        times = []
        for turn in turns:
            began = time.perf_counter()
            await self._memory.add(_message(turn), user_id=user, run_id=turn["session"])
            times.append((time.perf_counter() - began) * 1000)
        return {"ms": times}

    async def add_batch(self, *, turns: list[Said], user: str) -> Answer:
        """Add many turns in one call."""
        items = [_memory(turn, user) for turn in turns]
        began = time.perf_counter()
        await self._memory.add_many(items)
        return {"ms": [(time.perf_counter() - began) * 1000]}

    async def fill(self, *, first: int, last: int, total: int, scopes: int) -> Answer:
        """Store the turns from ``first`` to ``last`` of a dialogue, in one scope or cut evenly into several.

        Vectors come from the cache where it has them, so this is no measure of adding.
        """
        own = self._app.models.current
        kept = CachedDocuments(own, CACHE)
        self._app.models.current = kept
        began = time.perf_counter()
        try:
            await self._memory.add_many(_filling(first, last, total, scopes))
        finally:
            self._app.models.current = own
            await kept.aclose()
        stored = time.perf_counter()
        await self._app.upkeep.tidy(self._app.caller)
        return {"seconds": stored - began, "tidy_seconds": time.perf_counter() - stored}

    async def search(self, *, queries: list[str], users: list[str], limit: int) -> Answer:
        """Search for each query in the scope of its user."""
        times, embedding, database, ranking, found = [], [], [], [], 0
        for query, user in zip(queries, users, strict=True):
            began = time.perf_counter()
            results = await self._memory.search(query, user_id=user, limit=limit)
            times.append((time.perf_counter() - began) * 1000)
            embedding.append(results.timings.embed_ms)
            database.append(results.timings.database_ms)
            ranking.append(results.timings.rank_ms)
            found += len(results.hits)
        return {"ms": times, "embed_ms": embedding, "database_ms": database, "rank_ms": ranking, "found": found}

    async def encode(self, *, turns: list[Said], together: bool) -> Answer:
        """Run the encoder alone over the texts that adding would embed, one by one or in one call."""
        texts = [f"{turn['speaker']}: {turn['text']}" for turn in turns]
        times = []
        for batch in [texts] if together else [[text] for text in texts]:
            began = time.perf_counter()
            await self._app.models.current.embed_documents(batch)
            times.append((time.perf_counter() - began) * 1000)
        return {"ms": times}

    async def commit(self, *, count: int) -> Answer:
        """Commit so many one-row transactions on the same server."""
        times = []
        with psycopg.connect(self._app.server.conninfo, autocommit=True) as connection:
            connection.execute("CREATE TABLE public.bench_commit (written timestamptz)")
            for _ in range(count):
                began = time.perf_counter()
                connection.execute("INSERT INTO public.bench_commit VALUES (now())")
                times.append((time.perf_counter() - began) * 1000)
            connection.execute("DROP TABLE public.bench_commit")
        return {"ms": times}

    async def recall(self, *, queries: list[str], user: str, total: int, bucket: int | None) -> Answer:
        """Compare the nearest vectors that a search asks of the database with those found by comparing all."""
        everything = await self._vectors(total)
        exact = everything if bucket is None else everything[bucket::BUCKETS]
        filters = None if bucket is None else {"metadata.bucket": bucket}
        view = view_of(ReadRequest(scope=Scope(user_id=user), filters=filters))
        shares, wanted = [], min(NEAREST, len(exact))
        for query in queries:
            pooled = (await self._app.models.current.embed_query(query)).pooled
            probe, asked = _Probe(), Query(terms=[], model=self._app.models.current.model, pooled=pooled)
            await self._app.retrieval.search_operation.search(self._app.caller, view, asked, probe)
            bound = float(np.sort(exact @ pooled)[-wanted]) - ROUNDING
            shares.append(float(np.count_nonzero(probe.similarities[:wanted] >= bound)) / wanted)
        return {"recall": float(np.mean(shares))}

    async def usage(self) -> Answer:
        """Give the memory of this process and of PostgreSQL, in bytes."""
        with psycopg.connect(self._app.server.conninfo) as connection:
            row = connection.execute("SELECT min(pid) FROM pg_stat_activity").fetchone()
            assert row is not None
            return process_memory() | postgres_memory(int(row[0]))

    async def _vectors(self, total: int) -> NDArray[np.float32]:
        kept = CachedDocuments(self._app.models.current, CACHE)
        texts = [f"{turn.speaker}: {turn.text}" for turn in dialogue(total)]
        try:
            parts = [await kept.embed_documents(texts[start : start + 1000]) for start in range(0, total, 1000)]
        finally:
            await kept.aclose()
        return np.stack([embedding.pooled for part in parts for embedding in part])


class _Probe:
    """A ranking that looks at what the semantic arm found and ends the search there."""

    def __init__(self) -> None:
        self.similarities: NDArray[np.float32] = np.zeros(0, np.float32)

    def weigh(self, words: Words) -> None:
        """Have no words to score."""
        assert not words.postings

    def shortlist(self, nearest: Nearest | None, *, sifted: bool) -> NDArray[np.int64]:
        """Keep the similarities, and choose nothing."""
        assert nearest is not None or sifted
        self.similarities = np.zeros(0, np.float32) if nearest is None else np.sort(nearest.similarities)[::-1]
        return np.zeros(0, np.int64)

    def is_starved(self, candidates: Candidates) -> bool:
        """Never ask for more."""
        return len(candidates.places) > 0

    def order(self, candidates: Candidates) -> Sequence[int]:
        """Order nothing."""
        assert not len(candidates.places)
        return ()


def _filling(first: int, last: int, total: int, scopes: int) -> Iterator[dict[str, object]]:
    """Give the memories to fill a store with; turns of one session stay in one scope of whole sessions or parts."""
    size = total // scopes
    for number, turn in enumerate(islice(dialogue(total), first, last), start=first):
        said = {"speaker": turn.speaker, "text": turn.text, "session": turn.session, "at": turn.occurred_at.isoformat()}
        user = "one" if scopes == 1 else f"scope-{number // size}"
        yield _memory(said, user) | {"metadata": {"bucket": number % BUCKETS}}


def _memory(turn: Said, user: str) -> dict[str, object]:
    return {
        "user_id": user,
        "run_id": turn["session"],
        "role": "user",
        "actor": turn["speaker"],
        "content": turn["text"],
        "occurred_at": turn["at"],
    }


def _message(turn: Said) -> dict[str, object]:
    return {"role": "user", "name": turn["speaker"], "content": turn["text"], "occurred_at": turn["at"]}


async def main() -> None:
    subject = Subject()
    names = ("open", "add", "add_batch", "fill", "search", "encode", "commit", "recall", "usage")
    commands: dict[str, Callable[..., Awaitable[Answer]]] = {name: getattr(subject, name) for name in names}
    try:
        # One command at a time: waiting for the next line may block the loop.
        for line in sys.stdin:
            command: dict[str, Any] = json.loads(line)
            answer = await commands[command.pop("do")](**command)
            print(json.dumps(answer), flush=True)
    finally:
        await subject.close()


if __name__ == "__main__":
    asyncio.run(main())
