"""A server that is told to stop: it says so first, ends what it has begun, and cuts nobody off."""

from __future__ import annotations

import json
import signal
import socket
from contextlib import suppress
from pathlib import Path

import httpx

from tests.support.embedded_server import is_down, wait_until
from tests.support.redis_server import free_port
from tests.support.servers import ServerProcess, servers

LONG = "x" * 60_000
"""What each memory has as metadata, which nothing analyses."""
MEMORIES = 160
"""So many of them are more than all buffers between a server and its client hold."""


def tell(server: ServerProcess, number: signal.Signals) -> None:
    """Send the server a signal."""
    assert server._process is not None
    server._process.send_signal(number)


def accepts(server: ServerProcess) -> bool:
    """Whether the server takes new connections."""
    try:
        socket.create_connection(("127.0.0.1", server.port)).close()
    except ConnectionRefusedError:
        return False
    return True


def in_flight(port: int) -> float:
    """Read from the metrics how many requests the server works on."""
    lines = httpx.get(f"http://127.0.0.1:{port}/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("agentmem_http_in_flight "))


def ready(server: ServerProcess) -> int:
    return httpx.get(f"{server.url}/health/ready").status_code


def test_readiness_fails_first_and_requests_go_on_meanwhile(tmp_path: Path) -> None:
    with servers(tmp_path / "data", 1, drain_seconds="3") as (server,):
        headers = {"Authorization": f"Bearer {server.key}"}
        with httpx.Client(base_url=server.url, headers=headers) as client:
            assert "connection" not in client.get("/v1/me").headers
            tell(server, signal.SIGTERM)
            wait_until(lambda: ready(server) == 503)
            unready = client.get("/health/ready")
            assert unready.json()["errors"] == [{"field": "server", "message": "stopping"}]
            last = client.post("/v1/memories", json={"content": "Said at the very end.", "user_id": "eve"})
            assert last.status_code == 201
            assert last.headers["connection"] == "close"
            assert httpx.get(f"{server.url}/health/live").status_code == 200
        assert server.ends() == 0
    wait_until(lambda: is_down(tmp_path / "data"))


def test_request_in_flight_is_answered_after_the_server_was_told_to_stop(tmp_path: Path) -> None:
    metrics = free_port()
    with servers(tmp_path / "data", 1, drain_seconds="0", metrics_port=str(metrics)) as (server,):
        # A body of which the last byte comes only after the signal: the request is in flight for certain.
        body = b'{"content": "Sent in two parts.", "user_id": "eve"}'
        head = (
            f"POST /v1/memories HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head.encode() + body[:-1])
            wait_until(lambda: in_flight(metrics) == 1)
            tell(server, signal.SIGTERM)
            wait_until(lambda: not accepts(server))
            connection.sendall(body[-1:])
            answer = connection.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 201"), answer
        assert server.ends() == 0
    wait_until(lambda: is_down(tmp_path / "data"))


def test_request_that_never_ends_does_not_keep_the_server(tmp_path: Path) -> None:
    given = {"drain_seconds": "0", "shutdown_seconds": "1", "body_timeout": "600", "metrics_port": str(free_port())}
    with servers(tmp_path / "data", 1, **given) as (server,):
        head = (
            f"POST /v1/memories HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\n"
            "Content-Type: application/json\r\nContent-Length: 9\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head.encode() + b"{")
            wait_until(lambda: in_flight(int(given["metrics_port"])) == 1)
            assert server.stop() == 0
    wait_until(lambda: is_down(tmp_path / "data"))


def test_export_that_takes_longer_than_a_stop_is_cut_and_never_looks_whole(tmp_path: Path) -> None:
    with servers(tmp_path / "data", 1, drain_seconds="0", shutdown_seconds="1") as (server,):
        headers = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/x-ndjson"}
        new = [{"content": f"Memory {number}.", "metadata": {"long": LONG}} for number in range(MEMORIES)]
        lines = "".join(f"{json.dumps(memory)}\n" for memory in new)
        imported = httpx.post(f"{server.url}/v1/memories/import", content=lines, headers=headers, timeout=120)
        assert imported.json() == {"imported": MEMORIES, "skipped": 0}
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            connection.connect(("127.0.0.1", server.port))
            key = f"Authorization: Bearer {server.key}\r\n"
            connection.sendall(f"GET /v1/memories/export HTTP/1.1\r\nHost: x\r\n{key}\r\n".encode())
            answer = connection.recv(1000)
            assert server.stop() == 0
            with suppress(ConnectionResetError):
                while part := connection.recv(65536):
                    answer += part
        assert answer.startswith(b"HTTP/1.1 200")
        assert len(answer) < MEMORIES * len(LONG)
        assert not answer.endswith(b"0\r\n\r\n"), "the answer looks whole"
        assert '"code": "cut_off"' in server.said
        assert '"route": "/v1/memories/export"' in server.said
    wait_until(lambda: is_down(tmp_path / "data"))


def test_import_that_takes_longer_than_a_stop_is_cut_and_is_sent_again_without_harm(tmp_path: Path) -> None:
    given = {"drain_seconds": "0", "shutdown_seconds": "1", "body_timeout": "600", "metrics_port": str(free_port())}
    lines = b"".join(b'"Line %d of an import."\n' % number for number in range(200))
    with servers(tmp_path / "data", 1, **given) as (server,):
        key = server.key
        head = (
            f"POST /v1/memories/import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
            "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head.encode() + f"{len(lines):x}\r\n".encode() + lines + b"\r\n")
            wait_until(lambda: in_flight(int(given["metrics_port"])) == 1)
            assert server.stop() == 0
            try:
                answer = connection.makefile("rb").read()
            except ConnectionResetError:
                answer = b""
        assert b" 200 " not in answer
        assert '"code": "cut_off"' in server.said
        assert '"route": "/v1/memories/import"' in server.said
        server.start()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"}
        again = httpx.post(f"{server.url}/v1/memories/import", content=lines, headers=headers, timeout=120).json()
        assert again["imported"] + again["skipped"] == 200
        assert httpx.get(f"{server.url}/v1/stats", headers=headers).json()["memories"] == 200
    wait_until(lambda: is_down(tmp_path / "data"))
