"""Clients that call a server all the while, and note every answer that is no success."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

from tests.support.patience import eventually

CLIENTS = 4
STREAMED = 20
"""Lines of one import."""


def bearer(key: str) -> dict[str, str]:
    """Give the header that carries a key."""
    return {"Authorization": f"Bearer {key}"}


@dataclass
class Traffic:
    """How many requests were answered, and what went wrong."""

    done: int = 0
    failures: list[str] = field(default_factory=list)

    async def flows(self, requests: int = 40) -> None:
        """Wait until this many more requests were answered."""
        wanted = self.done + requests

        async def reached() -> bool:
            return self.done >= wanted

        await eventually(reached, seconds=120)


@asynccontextmanager
async def traffic(url: str, key: str) -> AsyncIterator[Traffic]:
    """Add and search from several clients, and export and import from one, which try nothing twice."""
    seen, ending = Traffic(), asyncio.Event()

    async def work(number: int) -> None:
        async with httpx.AsyncClient(base_url=url, headers=bearer(key), timeout=60) as client:
            turn = 0
            while not ending.is_set():
                turn += 1
                scope = {"user_id": f"user-{number}"}
                await call(client, "/v1/memories", {"content": f"Note {turn} of client {number}.", **scope})
                await call(client, "/v1/memories/search", {"query": "which notes are there?", "scope": scope})

    async def move() -> None:
        async with httpx.AsyncClient(base_url=url, headers=bearer(key), timeout=60) as client:
            moved, mover = 0, f"mover-{uuid4().hex}"
            while not ending.is_set():
                lines = "".join(f'"Line {moved + number} of the one who moves."\n' for number in range(STREAMED))
                sent = {"content": lines, "headers": {"Content-Type": "application/x-ndjson"}}
                await ask(client, "POST", "/v1/memories/import", **sent, params={"user_id": mover})
                moved += STREAMED
                exported = await ask(client, "GET", "/v1/memories/export", params={"user_id": mover})
                if exported is not None and len(exported.text.splitlines()) != moved:
                    seen.failures.append(f"{moved} lines were moved, and {len(exported.text.splitlines())} are there")

    async def call(client: httpx.AsyncClient, path: str, body: dict[str, object]) -> None:
        await ask(client, "POST", path, json=body)

    async def ask(client: httpx.AsyncClient, method: str, path: str, **sent: Any) -> httpx.Response | None:
        try:
            answer = await client.request(method, path, **sent)
        except httpx.HTTPError as error:
            seen.failures.append(f"{path}: {error!r}")
            return None
        if not answer.is_success:
            seen.failures.append(f"{path}: {answer.status_code} {answer.text}")
        seen.done += 1
        return answer

    workers = [asyncio.create_task(work(number)) for number in range(CLIENTS)]
    workers.append(asyncio.create_task(move()))
    try:
        yield seen
    finally:
        ending.set()
        await asyncio.gather(*workers)
