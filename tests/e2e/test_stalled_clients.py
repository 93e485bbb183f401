"""Clients that send slowly, read slowly or hold connections open do not keep the server from the others."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.support.embedded_server import is_down, wait_until
from tests.support.patience import PATIENCE
from tests.support.servers import ServerProcess, servers

STREAMS = 2


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with few turns, and little time for who dawdles."""
    directory = tmp_path_factory.mktemp("stalled") / "data"
    few = {"max_in_flight": "2", "max_queued": "0", "max_streams": str(STREAMS), "max_connections": "64"}
    with servers(directory, 1, drain_seconds="0", head_timeout="1", send_timeout="2", request_timeout="600", **few) as (
        started,
    ):
        yield started
    wait_until(lambda: is_down(directory))


def connect(server: ServerProcess, *, window: int | None = None) -> socket.socket:
    """Open a connection; ``window`` bounds what the machine takes of an answer that nobody reads."""
    connection = socket.socket()
    if window is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    connection.settimeout(PATIENCE)
    connection.connect(("127.0.0.1", server.port))
    return connection


def head(server: ServerProcess, first: str, *lines: str) -> bytes:
    """Write the head of a request with the server's key."""
    return "\r\n".join((first, "Host: x", f"Authorization: Bearer {server.key}", *lines, "", "")).encode()


def all_of(connection: socket.socket) -> bytes:
    """Read until the server ends the connection, however it does."""
    read = b""
    try:
        while part := connection.recv(65536):
            read += part
    except ConnectionResetError:
        pass
    return read


def test_bodies_that_are_announced_and_never_sent_hold_no_turn(server: ServerProcess) -> None:
    announced = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n"
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(server)) for _ in range(8)]
        for connection in connections:
            connection.sendall(announced)
            assert b" 413 " in connection.recv(4096)
        assert httpx.get(f"{server.url}/v1/nowhere").status_code == 404


def test_head_that_is_never_whole_is_given_up(server: ServerProcess) -> None:
    with connect(server) as half, connect(server) as silent:
        half.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n")
        answer = all_of(half)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"code": "request_timeout"' in answer
        assert all_of(silent) == b""


def test_rest_of_a_body_that_nobody_waits_for_is_given_up(server: ServerProcess) -> None:
    with connect(server) as connection:
        connection.sendall(b"POST /v1/memories HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        assert b" 401 " in connection.recv(4096)
        connection.sendall(b"x")
        assert b"HTTP/1.1" not in all_of(connection)


def test_address_has_a_quarter_of_the_connections_and_is_told_of_the_rest(server: ServerProcess) -> None:
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(server)) for _ in range(16)]
        answer = all_of(stack.enter_context(connect(server)))
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in answer.lower()
        for connection in connections:
            connection.close()
    wait_until(server.is_ready)


def test_exports_that_nobody_reads_leave_the_turns_to_others_and_are_cut(server: ServerProcess) -> None:
    key = {"Authorization": f"Bearer {server.key}"}
    for _ in range(8):
        body = {"memories": [{"content": "x" * 120_000}] * 8, "on_duplicate": "keep"}
        assert httpx.post(f"{server.url}/v1/memories", json=body, headers=key, timeout=600).status_code == 201
    with ExitStack() as stack:
        stalled = [stack.enter_context(connect(server, window=4096)) for _ in range(STREAMS + 2)]
        for connection in stalled:
            connection.sendall(head(server, "GET /v1/memories/export HTTP/1.1"))
        # Once the exports that are refused are answered, which takes turns as well.
        wait_until(lambda: httpx.get(f"{server.url}/v1/me", headers=key).status_code == 200)
        for _ in range(8):
            assert httpx.get(f"{server.url}/v1/me", headers=key).status_code == 200
        # What was read by nobody was cut, and so another export goes through.
        wait_until(lambda: all(is_cut(connection) for connection in stalled))
        exported = httpx.get(f"{server.url}/v1/memories/export", headers=key, timeout=PATIENCE)
    assert exported.status_code == 200
    assert len(exported.text.splitlines()) == 64


def is_cut(connection: socket.socket) -> bool:
    """Whether the server has ended a connection that nobody reads: it accepts nothing more on it."""
    try:
        connection.sendall(b"x")
    except OSError:
        return True
    return False
