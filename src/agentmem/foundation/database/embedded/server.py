"""Attaching to the embedded server: started by whoever comes first, shared by all, gone soon after the last."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping

from agentmem.errors import Closed, ConfigurationError, DatabaseUnavailable, StorageFull
from agentmem.foundation.database.embedded.binaries import find_binaries
from agentmem.foundation.database.embedded.cluster import DATABASE, USER, check_directory, prepare
from agentmem.foundation.database.embedded.layout import PORT, Layout, storage_errors, takes_connections
from agentmem.foundation.database.embedded.locks import holding, is_held, lock, open_lock, try_lock
from agentmem.foundation.database.embedded.supervisor import Task, spawn

_PAUSE = 0.004
_BLINK = 2.0
_CONNECT_TIMEOUT = 10
_LOG_LINES = 12
_DISK_FULL = "No space left on device"


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddedServer:
    """The PostgreSQL server of one data directory, whether it runs or not."""

    layout: Layout
    linger: float
    patience: float
    uid_for_root: int | None

    @classmethod
    def attach(
        cls, data_directory: Path, *, linger: float = 3.0, patience: float = 60.0, uid_for_root: int | None = None
    ) -> Attachment:
        """Use the server of a data directory, which is made and started if need be.

        The server runs until the last attachment is gone, by :meth:`Attachment.detach` or by the end of its process,
        and ``linger`` seconds more; ``patience`` is how many seconds its start may take. ``uid_for_root`` is the user
        id that the server of a new store takes when root asks (PostgreSQL refuses to run as root).

        Raises :class:`IncompatibleStore` for a folder of another program or a newer version,
        :class:`ConfigurationError` and :class:`StorageFull` for one that cannot be used,
        :class:`DatabaseUnavailable` if the server does not start.
        """
        if uid_for_root == 0:
            raise ConfigurationError("The embedded server cannot run as root.", hint="Name another user id.")
        layout = Layout(directory=data_directory.expanduser().resolve())
        server = cls(layout=layout, linger=linger, patience=patience, uid_for_root=uid_for_root)
        with storage_errors(layout.directory):
            check_directory(layout)
            layout.make_folders()
            users = open_lock(layout.users_lock)
            try:
                server.bring_up(users)
            except BaseException:
                os.close(users)
                raise
        return Attachment(server, users)

    def bring_up(self, users: int) -> None:
        """Return when the server answers and has a supervisor; ``users`` is the lock of who asks."""
        begun = time.monotonic()
        deadline = begun + self.patience
        started = False
        with holding(self.layout.start_lock, deadline=deadline):
            lock(users, shared=True, deadline=deadline)
            os.utime(users)
            while not self._runs_supervised():
                supervised, serving = is_held(self.layout.supervisor_lock), is_held(self.layout.server_lock)
                if not supervised and (not serving or self.answers()):
                    if started:
                        raise self._failure("The embedded server did not start.")
                    started = self._supervise()
                elif time.monotonic() > deadline:
                    raise self._failure(f"The embedded server did not answer within {self.patience:.0f} s.")
                elif time.monotonic() > begun + _BLINK and self._is_out_of_sight():
                    raise self._failure("The store is in use where its server's socket cannot be seen from here.")
                time.sleep(_PAUSE)

    def _runs_supervised(self) -> bool:
        return is_held(self.layout.supervisor_lock) and is_held(self.layout.server_lock) and self.answers()

    def _is_out_of_sight(self) -> bool:
        """Say whether the server runs in another container, say, that shares the data directory but not the socket."""
        folder = self.layout.noted_socket_folder()
        return is_held(self.layout.server_lock) and folder is not None and not folder.exists()

    def answers(self) -> bool:
        """Say whether the server runs and lets clients in, which it does not while it recovers from a crash."""
        return takes_connections(self.layout.cluster) and PGconn.ping(self.conninfo.encode()) == Ping.OK

    @property
    def conninfo(self) -> str:
        """What libpq needs to connect to the server."""
        return make_conninfo(
            host=str(self.layout.noted_socket_folder()),
            port=PORT,
            user=USER,
            dbname=DATABASE,
            passfile=str(self.layout.password_file),
            require_auth="scram-sha-256",
            connect_timeout=_CONNECT_TIMEOUT,
        )

    def keep_supervised(self) -> None:
        """Replace a supervisor that was killed, so that somebody will stop the server."""
        if is_held(self.layout.supervisor_lock) or not is_held(self.layout.server_lock):
            return
        with holding(self.layout.start_lock, deadline=time.monotonic() + self.patience):
            self._supervise()

    def wait_until_stopped(self) -> None:
        """Return when the server has stopped, as the first process of a container must: its end kills all others."""
        deadline = time.monotonic() + self.linger + self.patience
        while is_held(self.layout.server_lock) and time.monotonic() < deadline:
            time.sleep(_PAUSE)

    def _supervise(self) -> bool:
        """Start a supervisor, which starts the server unless that runs; say no if another process was quicker."""
        if not sys.executable:
            raise ConfigurationError(
                "The embedded server needs a Python interpreter (sys.executable is empty).",
                hint="Set AGENTMEM_DATABASE_URL to a PostgreSQL server.",
            )
        account = self.layout.server_account(self.uid_for_root)
        binaries = find_binaries(self.layout, account)
        if not is_held(self.layout.server_lock):
            if takes_connections(self.layout.cluster):
                raise DatabaseUnavailable(
                    f"A server that AgentMem did not start runs on {self.layout.cluster}.",
                    hint="Stop that server first.",
                )
            prepare(self.layout, binaries, account)
            self.layout.choose_socket_folder(account)
        descriptor = open_lock(self.layout.supervisor_lock)
        try:
            if not try_lock(descriptor):
                return False
            task = Task(
                directory=str(self.layout.directory),
                postgres=str(binaries.postgres),
                uid=account.uid,
                gid=account.gid,
                socket_folder=str(self.layout.noted_socket_folder()),
                linger=self.linger,
                supervisor_lock=descriptor,
            )
            spawn(task)
            return True
        finally:
            os.close(descriptor)

    def _failure(self, what: str) -> DatabaseUnavailable | StorageFull:
        lines = self.layout.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
        if any(_DISK_FULL in line for line in lines):
            return StorageFull(
                f"The disk of {self.layout.directory} is full; the server does not start.", hint="Free some space."
            )
        return DatabaseUnavailable(
            f"{what} Data directory: {self.layout.directory}.",
            hint="\n".join(["The end of its log:", *lines]),
        )


class Attachment:
    """One user of a running server; the server stays as long as any attachment does."""

    def __init__(self, server: EmbeddedServer, users: int) -> None:
        self._server = server
        self._users = users

    user = USER
    """The login role: the cluster's superuser, for migrations; sessions take a lesser role."""

    database = DATABASE
    """The one database."""

    port = PORT
    """The number in the socket's name; nothing listens on the network."""

    @property
    def socket_directory(self) -> Path:
        """The folder of the server's Unix socket."""
        folder = self._server.layout.noted_socket_folder()
        if folder is None:
            raise DatabaseUnavailable("The embedded server has no socket.", hint="Attach again.")
        return folder

    @property
    def conninfo(self) -> str:
        """What libpq needs to connect; names the file of the password and does not hold it.

        The server has to prove that it knows the password too, so that no other program can pose as it.
        """
        return self._server.conninfo

    def ensure_running(self) -> bool:
        """Start the server again if it was killed; costs about as much as a connection if it was not.

        It is ours, so that the answer is yes. To be called before a connection is made. Raises the same errors as
        :meth:`EmbeddedServer.attach`.
        """
        if self._users < 0:
            raise Closed("The store was detached from its server.", hint="Open it again.")
        if not self._server.answers():
            with storage_errors(self._server.layout.directory):
                self._server.bring_up(self._users)
        return True

    def detach(self) -> None:
        """Stop using the server; the last one out has it stopped, after a moment. Doing it twice is harmless.

        The lock is closed and not unlocked: a forked child may hold it too.
        """
        if self._users < 0:
            return
        users, self._users = self._users, -1
        try:
            with suppress(FileNotFoundError):
                os.utime(users)
                self._server.keep_supervised()
        finally:
            os.close(users)
        if os.getpid() == 1:
            self._server.wait_until_stopped()
