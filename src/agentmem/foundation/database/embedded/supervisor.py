"""The process that watches over one server: starts it, and stops it a moment after its last user has gone.

It ends when the server does, whatever the reason; whoever needs the server next starts both anew. Killed, it leaves the
server running, and the shell that guards it starts another that takes over. Should that be killed too, the next process
that attaches or detaches starts both.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from agentmem.foundation.database.embedded.layout import Account, Layout, open_private
from agentmem.foundation.database.embedded.locks import open_lock, try_lock

_LONGEST_LOG = 1024 * 1024
_STOPPING = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 3600.0))
"""How a server is asked to stop, and for how many seconds: with a checkpoint, at once, and by force.

PostgreSQL 18 can miss the first request for ever if it comes while it restarts after the death of one of its processes.
Nothing that was committed is lost by the others; the next start recovers it.
"""


_GUARD = '(while "$@"; [ $? -gt 128 ]; do sleep 1; done) &'
"""Run the arguments again and again, as long as a signal ends them, in a process that nobody has to wait for.

A shell, since whoever kills all Python processes at once kills the users of the server and the supervisor: then nobody
would be left to stop the server. It holds the supervisor's lock too, so that no second one is started meanwhile.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What a supervisor is told: which store, how to start its server, and when to stop it."""

    directory: str
    postgres: str
    uid: int
    gid: int
    socket_folder: str
    linger: float
    supervisor_lock: int
    """Descriptor of the lock that says that a supervisor lives; its caller has taken it already."""


def spawn(task: Task) -> None:
    """Start a guarded supervisor that outlives this process and holds none of its files but the lock.

    It runs with nothing but the standard library and this package, and without this process's environment: what is in
    there is not the server's business.
    """
    layout = Layout(directory=Path(task.directory))
    source = str(Path(__file__).resolve().parents[4])
    program = f"import sys; sys.path.append({source!r}); from {__name__} import main; main()"
    rotate(layout.log)
    with os.fdopen(open_private(layout.log, os.O_WRONLY | os.O_APPEND), "ab") as log:
        starter = subprocess.Popen(  # noqa: S603  # this very program
            ["/bin/sh", "-c", _GUARD, "sh", sys.executable, "-I", "-S", "-c", program, json.dumps(asdict(task))],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={"LC_ALL": "C", "PATH": os.defpath},
            pass_fds=(task.supervisor_lock,),
            start_new_session=True,
        )
        starter.wait()


def rotate(log: Path) -> None:
    """Put a long log aside; one older file is kept."""
    with suppress(FileNotFoundError):
        if log.stat().st_size > _LONGEST_LOG:
            log.replace(log.with_suffix(".log.1"))


def main() -> None:
    """Supervise as the first argument says."""
    task = Task(**json.loads(sys.argv[1]))
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # a shell's background processes ignore it, and so would the server
    os.umask(0o077)
    _Supervisor(task).run()
    os._exit(0)


class _Supervisor:
    def __init__(self, task: Task) -> None:
        self._task = task
        self._layout = Layout(directory=Path(task.directory))
        self._server: subprocess.Popen[bytes] | None = None
        self._unused = False

    def run(self) -> None:
        """Start the server or take over a running one, and return when it has ended."""
        server_lock = open_lock(self._layout.server_lock)
        if _is_free(server_lock):
            self._start(server_lock)
            # The server's own copy goes on holding the lock; a file opened anew is what can wait for it.
            os.close(server_lock)
            server_lock = open_lock(self._layout.server_lock)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop_on_signal)
        threading.Thread(target=self._stop_when_unused, daemon=True).start()
        fcntl.flock(server_lock, fcntl.LOCK_EX)
        if self._server is not None:
            self._server.wait()
        if self._unused:
            # After a crash the folder stays: the users' connection settings name it.
            with suppress(OSError):
                Path(self._task.socket_folder).rmdir()

    def _start(self, server_lock: int) -> None:
        """Start the server; it inherits the lock, so that the lock is free only when its last process has gone."""
        layout, task = self._layout, self._task
        account = Account(uid=task.uid, gid=task.gid)
        # As the lock proves, these were left by a killed server. PostgreSQL would believe the process ids in them,
        # which may belong to others by now.
        (layout.cluster / "postmaster.pid").unlink(missing_ok=True)
        for left in Path(task.socket_folder).glob(".s.PGSQL.*"):
            left.unlink(missing_ok=True)
        self._server = subprocess.Popen(  # noqa: S603  # a program of our own package
            [task.postgres, "-D", str(layout.cluster_as_seen_by(account)), "-k", task.socket_folder],
            stdin=subprocess.DEVNULL,
            cwd=layout.cluster,
            env={"LC_ALL": "C", "PATH": os.defpath},
            pass_fds=(server_lock,),
            start_new_session=True,
            user=account.to_become,
            group=None if account.is_mine else account.gid,
            extra_groups=None if account.is_mine else (),
        )

    def _stop_when_unused(self) -> None:
        """Wait for the last user to leave, linger, make sure that nobody may come, and stop the server."""
        users = open_lock(self._layout.users_lock)
        starting = open_lock(self._layout.start_lock)
        while True:
            fcntl.flock(users, fcntl.LOCK_EX)
            os.utime(users)
            fcntl.flock(users, fcntl.LOCK_UN)
            # Users touch the file as they come and go, so that a new one begins the wait anew.
            # More than the whole wait can be left only when the clock was set back.
            while 0 < (left := os.fstat(users).st_mtime + self._task.linger - time.time()) <= self._task.linger:
                time.sleep(left)
            fcntl.flock(starting, fcntl.LOCK_EX)
            if try_lock(users):
                # Both locks stay held until this process ends, and it ends with the server.
                self._unused = True
                for number, seconds in _STOPPING:
                    self._send(number)
                    time.sleep(seconds)
            fcntl.flock(starting, fcntl.LOCK_UN)

    def _stop_on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._send(signal.SIGINT)

    def _send(self, number: signal.Signals) -> None:
        if self._server is not None:
            self._server.send_signal(number)
            return
        with suppress(OSError, ValueError, IndexError):
            os.kill(int((self._layout.cluster / "postmaster.pid").read_text().split()[0]), number)


def _is_free(server_lock: int) -> bool:
    """Take the lock unless a server holds it; one who only looks holds it for a blink, so try for a moment."""
    for _ in range(20):
        if try_lock(server_lock):
            return True
        time.sleep(0.002)
    return False
