"""Streams of lines: exports as they arrive, imports as they are sent."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Final, TypeVar

from agentmem.errors import InvalidInput, Unavailable

PIECE: Final = 64 * 1024
"""How many bytes of an import are sent together."""

Progress = Callable[[int], None]
Item = TypeVar("Item")


class LineSplitter:
    r"""Cuts bytes into lines at ``\n`` alone: a JSON line may hold any other separator of Unicode.

    Empty lines are passed over, unless they mean something.
    """

    def __init__(self, *, empty: bool = False) -> None:
        self._rest = b""
        self._empty = empty

    def feed(self, data: bytes) -> Iterator[str]:
        """Take bytes, and give the lines that they complete."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line or self._empty:
                yield line.decode()

    def end(self) -> None:
        """Note the end; raises :class:`Unavailable` when it comes in the middle of a line."""
        if self._rest:
            raise Unavailable("The export ended in the middle of a line.", hint="Start it again.")


class LineSender:
    """Gathers the lines of an import into pieces, and tells of each piece that is on its way."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._waiting = bytearray()
        self._lines = 0

    def take(self, line: str) -> bytes | None:
        """Take one line, and give a piece to send once there is enough for one."""
        if not isinstance(line, str):
            raise InvalidInput(f"A line of an import is text, not {type(line).__name__}.")
        try:
            self._waiting += line.rstrip("\r\n").encode() + b"\n"
        except UnicodeEncodeError:
            raise InvalidInput("A line of the import holds a lone surrogate; repair the text's encoding.") from None
        self._lines += 1
        return self.rest() if len(self._waiting) >= PIECE else None

    def rest(self) -> bytes:
        """Give what is waiting, as the last piece."""
        piece, lines = bytes(self._waiting), self._lines
        self._waiting.clear()
        self._lines = 0
        if lines and self._progress is not None:
            self._progress(lines)
        return piece


def pieces(lines: Iterable[str], sender: LineSender) -> Iterator[bytes]:
    """Give the body of an import."""
    for line in checked(lines):
        if piece := sender.take(line):
            yield piece
    if piece := sender.rest():
        yield piece


async def async_pieces(lines: Iterable[str] | AsyncIterable[str], sender: LineSender) -> AsyncIterator[bytes]:
    """Give the body of an import whose lines may come asynchronously."""
    async for line in stream(lines):
        if piece := sender.take(line):
            yield piece
    if piece := sender.rest():
        yield piece


def checked(items: Iterable[Item]) -> Iterable[Item]:
    """Refuse what is one thing and no stream of them."""
    if isinstance(items, str | bytes | Mapping) or not isinstance(items, AsyncIterable | Iterable):
        raise InvalidInput(f"A stream of items is needed, not {type(items).__name__}.", hint="Give a list of them.")
    return items


async def stream(items: Iterable[Item] | AsyncIterable[Item]) -> AsyncIterator[Item]:
    """Read items that come at once or asynchronously as one stream."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in checked(items):
            yield item
