"""The socket that a server listens on."""

from __future__ import annotations

import asyncio
import socket

import pytest

from agentmem.entrypoints.api.server import _bind, _url
from agentmem.errors import ConfigurationError
from agentmem.settings import Settings


async def test_answers_are_sent_at_once() -> None:
    without_delay: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted = writer.get_extra_info("socket")
        without_delay.set_result(bool(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
        writer.close()

    listener = _bind(Settings.load(port=0))
    async with await asyncio.start_server(accept, sock=listener):
        _, writer = await asyncio.open_connection(*listener.getsockname())
        assert await without_delay
        writer.close()
        await writer.wait_closed()


def test_address_is_written_as_a_client_needs_it() -> None:
    with _bind(Settings.load(port=0)) as listener:
        assert _url(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_address_that_cannot_be_had_is_named() -> None:
    with _bind(Settings.load(port=0)) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=str(port)):
            _bind(Settings.load(port=port))
