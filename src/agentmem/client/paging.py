"""Lists read page by page: the next page is fetched when its first item is wanted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar

from agentmem.schemas.memories import Page

Item = TypeVar("Item")


async def async_items(fetch: Callable[[str | None], Awaitable[Page[Item]]]) -> AsyncIterator[Item]:
    """Give the items of every page; ``fetch`` takes a cursor, and none for the first page."""
    cursor: str | None = None
    while True:
        page = await fetch(cursor)
        for item in page.items:
            yield item
        if (cursor := page.next_cursor) is None:
            return


def items(fetch: Callable[[str | None], Page[Item]]) -> Iterator[Item]:
    """Give the items of every page; ``fetch`` takes a cursor, and none for the first page."""
    cursor: str | None = None
    while True:
        page = fetch(cursor)
        yield from page.items
        if (cursor := page.next_cursor) is None:
            return
