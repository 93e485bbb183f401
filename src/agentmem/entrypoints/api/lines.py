"""JSON Lines in requests and responses, of any length, without ever holding all of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from agentmem.entrypoints.api.json_body import check_encoding
from agentmem.errors import ImportFailed, UnsupportedContent
from agentmem.pipelines.ingestion.transfer import HINT

MEDIA_TYPE: Final = "application/x-ndjson"
CHUNK: Final = 64 * 1024


def check_lines(request: Request) -> None:
    """Refuse a body that is not plain JSON Lines; raises :class:`UnsupportedContent`."""
    check_encoding(request.headers.get("content-encoding"))
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != MEDIA_TYPE:
        raise UnsupportedContent(f"The body's Content-Type is not {MEDIA_TYPE}.", hint="Send one JSON value a line.")


async def lines_of(stream: AsyncIterator[bytes], longest: int) -> AsyncIterator[str]:
    """Cut a stream of bytes into lines of text; raises :class:`ImportFailed` that names the line at fault.

    A line of more than ``longest`` bytes is refused while it arrives.
    """
    number, parts, size = 1, list[bytes](), 0
    async for chunk in stream:
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            _check(number, size + len(piece), longest)
            yield _decoded(number, b"".join((*parts, piece)))
            number, parts, size = number + 1, [], 0
        parts.append(rest)
        size += len(rest)
        _check(number, size, longest)
    if size:
        yield _decoded(number, b"".join(parts))


async def streamed(lines: AsyncIterator[str], media_type: str = MEDIA_TYPE) -> Response:
    """Answer with lines as they are made; the first of them are awaited, so that an error still has a status.

    What fails later cuts the connection: the end of a stream is never clean unless it is whole.
    """
    chunks = _joined(lines)
    first = await anext(chunks, b"")
    return StreamingResponse(_after(first, chunks), media_type=media_type)


async def _joined(lines: AsyncIterator[str]) -> AsyncGenerator[bytes, None]:
    parts, size = list[bytes](), 0
    async for line in lines:
        parts.append(line.encode() + b"\n")
        size += len(parts[-1])
        if size >= CHUNK:
            yield b"".join(parts)
            parts, size = [], 0
    if parts:
        yield b"".join(parts)


async def _after(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for chunk in rest:
        yield chunk


def _decoded(number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _failed(number, f"is not UTF-8: byte {error.start} is wrong") from None


def _check(number: int, size: int, longest: int) -> None:
    if size > longest:
        raise _failed(number, f"is longer than {longest} bytes")


def _failed(number: int, reason: str) -> ImportFailed:
    return ImportFailed(f"Line {number} {reason}.", hint=HINT)
