"""Server processes as an operator starts them: `agentmem serve`, each on a port of its own, on one data directory."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import httpx

from tests.support.command_line import PROGRAM
from tests.support.embedded_server import wait_until
from tests.support.forked import ForkedProgram
from tests.support.redis_server import free_port

KEY = re.compile(r"amk_(?:live|test)_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")
_READ_AT_THE_START = frozenset({"LD_PRELOAD", "PYTHONPATH"})
"""What is too late for a process that is forked from a running one."""
STOPPING = 60.0
"""Seconds that a server may take to stop."""


class ServerProcess:
    """A server on one port that can be stopped and started again; what it prints is kept."""

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, str],
        *,
        command: str = "serve",
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.directory = directory
        self.command = command
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.printed = ""
        self._began = 0
        self.said = ""
        self._readers: list[threading.Thread] = []
        self._process: ForkedProgram | subprocess.Popen[str] | None = None
        self._environment = {
            **os.environ,
            "AGENTMEM_DATA_DIRECTORY": str(directory),
            "AGENTMEM_PORT": str(self.port),
            "AGENTMEM_LINGER": "0.5",
            **{f"AGENTMEM_{name.upper()}": value for name, value in settings.items()},
            **environment,
        }

    def have(self, name: str, value: str) -> None:
        """Give it a setting from the next start on."""
        self._environment[f"AGENTMEM_{name.upper()}"] = value

    def run_from(self, source: Path) -> None:
        """Have another version of the package run from the next start on: the one in this folder."""
        self._environment["PYTHONPATH"] = str(source)

    def kill(self) -> None:
        """Kill it as a machine that fails does, and wait until it is gone."""
        assert self._process is not None
        self._process.kill()
        self.ends()

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def key(self) -> str:
        """The API key that this server prints at its first start, once it listens."""
        wait_until(lambda: KEY.search(self.printed) is not None or self.has_ended())
        found = KEY.search(self.printed)
        assert found is not None, self.printed + self.said
        return found.group()

    @property
    def process_id(self) -> int:
        """The id of the running process."""
        assert self._process is not None
        return self._process.pid

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it takes requests."""
        self._began = self.printed.count("works in the background")
        self._process = self._program()
        # Daemons: whoever inherited a pipe and lives on must not keep the tests from ending.
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read_output, self._read_errors)]
        for reader in self._readers:
            reader.start()
        if wait:
            wait_until(lambda: self.is_ready() or self.has_ended())
            assert not self.has_ended(), self.said

    def _program(self) -> ForkedProgram | subprocess.Popen[str]:
        command, pipe = [PROGRAM, self.command], subprocess.PIPE
        if _READ_AT_THE_START.isdisjoint(self._environment):
            return ForkedProgram(command, self._environment)
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=self._environment, text=True
        )

    def is_ready(self) -> bool:
        """Whether it takes requests, or jobs."""
        if self.command == "worker":
            return self.printed.count("works in the background") > self._began
        try:
            return httpx.get(f"{self.url}/health/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self._process is not None and self._process.poll() is not None

    def ends(self) -> int:
        """Wait for its end and give its exit status."""
        assert self._process is not None
        status = self._process.wait(STOPPING)
        for reader in self._readers:
            reader.join(STOPPING)
            assert not reader.is_alive(), "the server has ended, and something still holds its output open"
        return status

    def stop(self) -> int:
        """Ask it to stop, wait until it has, and give its exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self.ends()

    def close(self) -> None:
        """End it however it is."""
        if self._process is None:
            return
        try:
            if self._process.poll() is None:
                self.stop()
        finally:
            self._process.kill()
            self.ends()

    def _read_output(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.printed += line

    def _read_errors(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                self.said += line


@contextmanager
def servers(directory: Path, count: int, *, command: str = "serve", **settings: str) -> Iterator[list[ServerProcess]]:
    """Start servers on one data directory, one after the other; the first one prints the key."""
    with all_started([ServerProcess(directory, settings, command=command) for _ in range(count)]) as started:
        yield started


@contextmanager
def all_started(started: list[ServerProcess]) -> Iterator[list[ServerProcess]]:
    """Start servers one after the other, and end them with the block."""
    try:
        for server in started:
            server.start()
        yield started
    finally:
        for server in started:
            server.close()
