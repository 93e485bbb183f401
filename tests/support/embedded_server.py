"""Helpers for tests of the embedded server: user processes, the server's processes, and waiting for a state."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from agentmem.foundation.database.embedded.layout import Layout
from agentmem.foundation.database.embedded.server import Attachment

_USER = """
import sys
from pathlib import Path
from agentmem.foundation.database.embedded.server import EmbeddedServer
attachment = EmbeddedServer.attach(Path(sys.argv[1]), linger=float(sys.argv[2]))
print("attached", flush=True)
sys.stdin.readline()
attachment.detach()
"""


class UserProcess:
    """Another process that uses a store until it is told to leave."""

    def __init__(self, directory: Path, *, linger: float = 0.2) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _USER, str(directory), str(linger)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def wait_attached(self) -> None:
        """Return when the process uses the store."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"attached\n"

    def leave(self) -> None:
        """Let the process detach and end."""
        self._process.communicate(b"\n")
        assert self._process.returncode == 0

    def kill(self) -> None:
        """End the process as a crash would."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def user_process(directory: Path, *, linger: float = 0.2) -> Iterator[UserProcess]:
    """Run another process that uses the store."""
    user = UserProcess(directory, linger=linger)
    try:
        user.wait_attached()
        yield user
    finally:
        user.kill()


def server_processes(directory: Path) -> list[int]:
    """Give the ids of all PostgreSQL processes whose working directory is the store's cluster."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "comm").read_text() == "postgres\n" and (entry / "cwd").readlink() == Layout(
                directory=directory
            ).cluster:
                found.append(int(entry.name))
    return sorted(found)


def postmaster(directory: Path) -> int:
    """Give the id of the server's first process."""
    return int((Layout(directory=directory).cluster / "postmaster.pid").read_text().split()[0])


def supervisors(directory: Path) -> list[int]:
    """Give the ids of the supervisors of a store."""
    return [process for process, program in _supervising(directory) if program != "sh"]


def guards(directory: Path) -> list[int]:
    """Give the ids of the shells that replace a killed supervisor of a store."""
    return [process for process, program in _supervising(directory) if program == "sh"]


def _supervising(directory: Path) -> list[tuple[int, str]]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (entry / "cmdline").read_bytes()
            if b"embedded.supervisor" in line and f'"{directory}"'.encode() in line:
                found.append((int(entry.name), Path(line.split(b"\0")[0].decode()).name))
    return sorted(found)


def wait_until(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    """Wait for a state that must come; the limit is no expectation of speed."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the expected state did not come"
        time.sleep(0.02)


def is_down(directory: Path) -> bool:
    """Say whether neither a server nor a supervisor of the store runs."""
    return not server_processes(directory) and not _supervising(directory)


def kill(process: int) -> None:
    """End a process as a crash would, if it is there, and return when it is dead."""
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    wait_until(lambda: not _is_alive(process))


def _is_alive(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in {"Z", "X"}


def ask(attachment: Attachment, statement: str) -> object:
    """Run one statement in a connection of its own and give the first value of its result, if it has one."""
    with psycopg.connect(attachment.conninfo, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
        return None if row is None else row[0]


@contextmanager
def open_folder() -> Iterator[Path]:
    """Give a folder that every account may pass through, until the block ends.

    Not pytest's own, which is closed: a server that is started by root runs as another user.
    """
    with tempfile.TemporaryDirectory(prefix="agentmem-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def store_folder() -> Iterator[Path]:
    """Give a place for a store; at the end its server has stopped."""
    with open_folder() as folder:
        yield folder / "store"
        wait_until(lambda: is_down(folder / "store"))
