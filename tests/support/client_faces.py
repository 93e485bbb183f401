"""The synchronous client used as the asynchronous one is, so that one test holds for both faces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, cast

from agentmem import AsyncClient, Client


class Face(Protocol):
    """Opens a client of one kind; it is closed at the end of the block."""

    def __call__(
        self, api_key: str | None, base_url: str, *, seconds: float = 30.0, retries: int = 2
    ) -> AbstractAsyncContextManager[AsyncClient]: ...


class _InThreads:
    """Calls the methods of a synchronous object in threads."""

    def __init__(self, wrapped: object) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> object:
        value = getattr(self._wrapped, name)
        if not callable(value):
            return _InThreads(value)
        if name in {"export", "iterate"}:
            return lambda **keywords: _items(value(**keywords))
        return _called(value)


def _called(method: Callable[..., object]) -> Callable[..., object]:
    async def call(*arguments: object, **keywords: object) -> object:
        return await asyncio.to_thread(method, *arguments, **keywords)

    return call


async def _items(items: Iterator[object]) -> AsyncIterator[object]:
    while (item := await asyncio.to_thread(next, items, None)) is not None:
        yield item


@asynccontextmanager
async def asynchronous(
    api_key: str | None, base_url: str, *, seconds: float = 30.0, retries: int = 2
) -> AsyncIterator[AsyncClient]:
    """Open an :class:`AsyncClient`."""
    async with AsyncClient(api_key, base_url=base_url, timeout=seconds, retries=retries) as client:
        yield client


@asynccontextmanager
async def synchronous(
    api_key: str | None, base_url: str, *, seconds: float = 30.0, retries: int = 2
) -> AsyncIterator[AsyncClient]:
    """Open a :class:`Client`, to be awaited like the other."""
    with Client(api_key, base_url=base_url, timeout=seconds, retries=retries) as client:
        yield cast("AsyncClient", _InThreads(client))


FACES: dict[str, Face] = {"asynchronous": asynchronous, "synchronous": synchronous}
