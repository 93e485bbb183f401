"""Clients that each wait for an answer before they ask again, in a process of their own, driven by lines of JSON.

They add and search over HTTP with the least a client can do, by the SDK, or in this process by the embedded library:
the same loop around three ways to make the same call.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, Protocol, Self

from agentmem import AsyncClient, AsyncMemory

Answer = dict[str, object]
HOST: Final = "127.0.0.1"


class Caller(Protocol):
    """One way to make a call."""

    async def add(self, text: str, user: str) -> None:
        """Add one text."""
        ...

    async def search(self, query: str, user: str, limit: int) -> int:
        """Search, and give how many memories were found."""
        ...


class Library:
    """The public methods of the embedded library or of the SDK: they are the same."""

    def __init__(self, memory: AsyncMemory | AsyncClient) -> None:
        self._memory = memory

    async def add(self, text: str, user: str) -> None:
        """Add one text."""
        await self._memory.add(text, user_id=user)

    async def search(self, query: str, user: str, limit: int) -> int:
        """Search, and give how many memories were found."""
        return len((await self._memory.search(query, user_id=user, limit=limit)).hits)


class Wire:
    """HTTP as a program would speak it that has no time to lose: one connection, the answer read and not looked at."""

    def __init__(self, key: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._fields = f"Host: {HOST}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"

    @classmethod
    async def open(cls, port: int, key: str) -> Self:
        """Connect."""
        return cls(key, *await asyncio.open_connection(HOST, port))

    async def close(self) -> None:
        """Disconnect."""
        self._writer.close()
        await self._writer.wait_closed()

    async def add(self, text: str, user: str) -> None:
        """Add one text."""
        await self._post("/v1/memories", {"content": text, "user_id": user})

    async def search(self, query: str, user: str, limit: int) -> int:
        """Search, and give how many memories were found."""
        body = {"query": query, "scope": {"user_id": user}, "limit": limit}
        return (await self._post("/v1/memories/search", body)).count(b'"score"')

    async def _post(self, path: str, value: object) -> bytes:
        body = json.dumps(value).encode()
        head = f"POST {path} HTTP/1.1\r\n{self._fields}Content-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        status, *fields = (await self._reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        length = next(int(field[15:]) for field in fields if field.startswith(b"content-length:"))
        answer = await self._reader.readexactly(length)
        if not status.startswith((b"http/1.1 200", b"http/1.1 201")):
            raise RuntimeError(f"{status!r}: {answer!r}")
        return answer


class Load:
    """What is open, and the commands that it takes."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._callers: dict[str, Callable[[], Awaitable[Caller]]] = {}
        self._wires: list[Wire] = []

    async def open(self, *, directory: str, store: str, ports: list[int], key: str) -> Answer:
        """Open the store in this process, and the way to the servers; ``directory`` is for scraps."""
        del directory
        memory = await self._stack.enter_async_context(AsyncMemory(data_directory=Path(store) / "store"))
        sdk = await self._stack.enter_async_context(AsyncClient(key, base_url=f"http://{HOST}:{ports[0]}", retries=0))

        async def wire() -> Caller:
            opened = await Wire.open(ports[len(self._wires) % len(ports)], key)
            self._wires.append(opened)
            return opened

        async def embedded() -> Caller:
            return Library(memory)

        async def client() -> Caller:
            return Library(sdk)

        self._callers = {"embedded": embedded, "rest": wire, "sdk": client}
        return {}

    async def close(self) -> None:
        """Let everything go."""
        await self._stack.aclose()

    async def run(self, *, by: str, what: str, texts: list[str], clients: int, user: str, limit: int) -> Answer:
        """Make a call for every text, by so many clients at once; gives the time of each and of all."""
        callers = [await self._callers[by]() for _ in range(clients)]
        waiting = iter(texts)
        began = time.perf_counter()
        times = await asyncio.gather(*(_worker(caller, waiting, what, user, limit) for caller in callers))
        seconds = time.perf_counter() - began
        while self._wires:
            await self._wires.pop().close()
        return {"ms": [ms for some in times for ms in some], "seconds": seconds}


async def _worker(caller: Caller, waiting: Iterator[str], what: str, user: str, limit: int) -> Sequence[float]:
    times = []
    for text in waiting:
        began = time.perf_counter()
        if what == "add":
            await caller.add(text, user)
        elif not await caller.search(text, user, limit):
            raise RuntimeError("A search found nothing.")
        times.append((time.perf_counter() - began) * 1000)
    return times


async def main() -> None:
    load = Load()
    commands: dict[str, Callable[..., Awaitable[Answer]]] = {"open": load.open, "run": load.run}
    try:
        # One command at a time: waiting for the next line may block the loop.
        for line in sys.stdin:
            command: dict[str, Any] = json.loads(line)
            print(json.dumps(await commands[command.pop("do")](**command)), flush=True)
    finally:
        await load.close()


if __name__ == "__main__":
    asyncio.run(main())
