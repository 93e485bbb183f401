"""Bytes that are no request, or only half of one, get an answer with the skin of every other, and end there."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from agentmem.entrypoints.api.skin import API_HEADERS
from tests.support.embedded_server import is_down, wait_until
from tests.support.servers import ServerProcess, servers


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that waits for nobody's body for long."""
    directory = tmp_path_factory.mktemp("raw") / "data"
    with servers(directory, 1, drain_seconds="0", body_timeout="1") as (started,):
        yield started
    wait_until(lambda: is_down(directory))


def send(server: ServerProcess, *parts: bytes) -> tuple[int, dict[str, str], dict[str, object]]:
    """Send bytes, read the answer to the end of the connection, and take it apart."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        for part in parts:
            connection.sendall(part)
        answer = connection.makefile("rb").read()
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    problem = json.loads(body)
    assert isinstance(problem, dict)
    return int(first.split()[1]), headers, problem


POST = b"POST /v1/memories HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "sent, status",
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET / HTTP/x\r\nHost: x\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: x\r\nBad Header: x\r\n\r\n", 400),
        (POST + b"Content-Length: -1\r\n\r\n", 400),
        (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (b"GET /health HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 40_000 + b"\r\n\r\n", 431),
        (b"GET /health HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 200_000, 431),
        (b"GET /" + b"x" * 200_000, 431),
    ],
)
def test_what_is_no_request_gets_a_problem(server: ServerProcess, sent: bytes, status: int) -> None:
    answered, headers, problem = send(server, sent)
    assert answered == problem["status"] == status
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert headers["x-request-id"] == problem["request_id"]
    for name, value in API_HEADERS:
        assert headers[name.decode()] == value.decode()


def test_body_that_stops_arriving_is_given_up(server: ServerProcess) -> None:
    authorized = POST + f"Authorization: Bearer {server.key}\r\n".encode()
    status, headers, problem = send(server, authorized + b"Content-Length: 100\r\n\r\n", b"{")
    assert (status, problem["code"]) == (408, "request_timeout")
    assert headers["connection"] == "close"


def test_broken_chunks_end_the_connection_and_store_nothing(server: ServerProcess) -> None:
    key = {"Authorization": f"Bearer {server.key}"}
    authorized = POST + f"Authorization: Bearer {server.key}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(authorized + b'5\r\n{"con\r\nzz\r\n')
        assert b" 201 " not in connection.makefile("rb").read()
    assert httpx.get(f"{server.url}/v1/stats", headers=key).json()["memories"] == 0
    assert httpx.get(f"{server.url}/health/ready").status_code == 200


def test_huge_body_is_refused_while_it_is_sent_and_its_sender_hears_it(server: ServerProcess) -> None:
    headers = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"}
    body = b"x" * 20_000_000
    for content in (body, (body[start : start + 65536] for start in range(0, len(body), 65536))):
        answer = httpx.post(f"{server.url}/v1/memories", content=content, headers=headers)
        assert answer.status_code == 413
        assert answer.json()["code"] == "request_too_large"
