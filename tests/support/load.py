"""Writers and readers who never give up, and a book of what they were promised."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

import httpx

from tests.support.patience import eventually
from tests.support.traffic import bearer

REFUSED: Final = frozenset({429, 503})
"""What a server says when it cannot do a thing now; it must say when to come back."""
_PAUSE: Final = 0.05
_PATIENCE: Final = 180.0


@dataclass(kw_only=True)
class Book:
    """What was acknowledged, and what went wrong."""

    acknowledged: dict[str, set[str]] = field(default_factory=dict)
    """The contents that each user's writer was told are stored."""
    attempted: dict[str, set[str]] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    """The ids of the memories that they became."""
    answers: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    """Connections that ended without an answer."""
    faults: list[str] = field(default_factory=list)
    """What no installation may answer, whatever has died."""
    may_be_lost: frozenset[str] = frozenset()
    """The contents that may be gone although they were acknowledged: the audit counts them."""

    @property
    def written(self) -> int:
        """How many writes were acknowledged."""
        return sum(map(len, self.acknowledged.values()))

    async def grows(self, by: int) -> None:
        """Wait until so many more writes were acknowledged."""
        wanted = self.written + by

        async def reached() -> bool:
            return self.written >= wanted or self.faults != []

        await eventually(reached, seconds=_PATIENCE)
        assert self.faults == [], self.faults[:3]


class Client:
    """One user of the installation, who writes a note, then looks for it."""

    def __init__(self, book: Book, http: httpx.AsyncClient, user: str, *, gateway_may_fail: bool) -> None:
        self._book, self._http, self._user = book, http, user
        self._tolerated = {502, 504} if gateway_may_fail else set[int]()
        book.acknowledged[user], book.attempted[user] = set(), set()

    async def write(self, content: str) -> None:
        """Store a note, however often it takes, under one idempotency key."""
        self._book.attempted[self._user].add(content)
        body: dict[str, object] = {"content": content, "user_id": self._user}
        answer = await self._persist("/v1/memories", body, {"Idempotency-Key": content.replace(" ", "-")})
        if answer is not None:
            self._book.acknowledged[self._user].add(content)
            self._book.ids.update(memory["id"] for memory in answer.json()["memories"])

    async def find(self, content: str) -> None:
        """Look for a note whose write was acknowledged: it is found at once, through whichever server."""
        body: dict[str, object] = {"query": content, "scope": {"user_id": self._user}, "limit": 5}
        answer = await self._persist("/v1/memories/search", body, {})
        if answer is None or content in self._book.may_be_lost:
            return
        if content not in {hit["memory"]["content"] for hit in answer.json()["hits"]}:
            self._book.faults.append(f"{content!r} was acknowledged and not found")

    async def _persist(self, path: str, body: dict[str, object], headers: dict[str, str]) -> httpx.Response | None:
        async with asyncio.timeout(_PATIENCE):
            while True:
                try:
                    answer = await self._http.post(path, json=body, headers=headers)
                except httpx.TransportError:
                    self._book.broken += 1
                    await asyncio.sleep(_PAUSE)
                    continue
                self._book.answers[answer.status_code] += 1
                if answer.is_success:
                    return answer
                if not self._may_be_repeated(answer):
                    self._book.faults.append(f"{path}: {answer.status_code} {answer.text[:300]}")
                    return None
                await asyncio.sleep(_PAUSE)

    def _may_be_repeated(self, answer: httpx.Response) -> bool:
        if answer.status_code in self._tolerated:
            return True
        if answer.status_code == 409:  # the first attempt is still running, or its server has died
            return str(answer.json()["code"]) == "request_running"
        return answer.status_code in REFUSED and "Retry-After" in answer.headers


@asynccontextmanager
async def load(url: str, key: str, *, clients: int, gateway_may_fail: bool = False) -> AsyncIterator[Book]:
    """Write and search from so many clients at once until the block ends; all of them end what they have begun."""
    book, ending, run = Book(), asyncio.Event(), uuid4().hex[:8]
    limits = httpx.Limits(max_connections=clients)

    async def work(http: httpx.AsyncClient, number: int) -> None:
        client = Client(book, http, f"user-{run}-{number}", gateway_may_fail=gateway_may_fail)
        turn = 0
        while not ending.is_set():
            turn += 1
            note = f"Note {turn} of client {run}-{number}."
            await client.write(note)
            await client.find(note)

    async with (
        httpx.AsyncClient(base_url=url, headers=bearer(key), timeout=60, limits=limits) as http,
        asyncio.TaskGroup() as group,
    ):
        for number in range(clients):
            group.create_task(work(http, number))
        try:
            yield book
        finally:
            ending.set()


async def audit(url: str, key: str, book: Book) -> list[str]:
    """Compare what is stored with what was promised; gives every difference."""
    differences = list(book.faults)
    async with httpx.AsyncClient(base_url=url, headers=bearer(key), timeout=60) as http:
        for user, acknowledged in book.acknowledged.items():
            exported = await http.get("/v1/memories/export", params={"user_id": user})
            exported.raise_for_status()
            lines = [httpx.Response(200, content=line).json() for line in exported.text.splitlines()]
            stored = Counter(line["versions"][-1]["memory"]["content"] for line in lines)
            differences += [f"lost: {content}" for content in sorted(acknowledged - set(stored))]
            differences += [f"stored {times} times: {content}" for content, times in stored.items() if times > 1]
            differences += [f"never asked for: {content}" for content in sorted(set(stored) - book.attempted[user])]
    return differences
