"""A real Redis that a test starts, freezes, kills and starts again on the same port."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import redis

from tests.support.embedded_server import wait_until


def free_port() -> int:
    """Find a port of this machine that nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RedisServer:
    """A Redis of one test's own; it keeps nothing on disk."""

    def __init__(self, directory: Path, *options: str) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("needs redis-server: make services")
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._directory = directory
        own = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
        self._command = [program, *own, *options]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            self._command, cwd=self._directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self.answers)

    def answers(self) -> bool:
        """Whether it answers."""
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def client(self) -> redis.Redis:
        """Give a plain client, to look at what is stored."""
        return redis.Redis(port=self.port, socket_timeout=1.0, socket_connect_timeout=1.0)

    def calls(self, command: str) -> int:
        """Count how often a command was called since the server started."""
        with self.client() as client:
            statistics = client.info("commandstats")
        assert isinstance(statistics, dict)
        return int(statistics.get(f"cmdstat_{command}", {"calls": 0})["calls"])

    def kill(self) -> None:
        """End it at once, as a crash does; everything in it is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop it without closing a connection: nobody refuses, and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def redis_server(directory: Path, *options: str) -> Iterator[RedisServer]:
    """Run a Redis until the block ends; ``options`` are those of its command line."""
    server = RedisServer(directory, *options)
    server.start()
    try:
        yield server
    finally:
        server.kill()
