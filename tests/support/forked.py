"""The program in processes that are forked from one which has read it: the same processes, sooner there.

Reading a few hundred modules takes a process longer than most commands do. The standard library's fork server reads
them once for each worker of the tests; what a process sees of its input, output and environment is its own.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from tempfile import TemporaryDirectory
from typing import IO, Final

import coverage

_STREAMS: Final = {"in": os.O_RDONLY, "out": os.O_WRONLY | os.O_APPEND, "err": os.O_WRONLY | os.O_APPEND}
_FORKING: Final = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(
    ["agentmem.bootstrap", "agentmem.entrypoints.cli.main", "agentmem.entrypoints.api.server"]
)


def run_forked(
    program: str, arguments: Sequence[str], *, given: str, environment: Mapping[str, str], seconds: float
) -> CompletedProcess[str]:
    """Run a command to its end; one that takes longer than so many seconds is killed, and fails the test."""
    with TemporaryDirectory(prefix="agentmem-") as name:
        folder, command = Path(name), [program, *arguments]
        for stream in _STREAMS:
            (folder / stream).write_text(given if stream == "in" else "", encoding="utf-8")
        process = _FORKING.Process(target=_command, args=(folder, command, dict(environment)))
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            process.join()
        out, err = ((folder / stream).read_text(encoding="utf-8") for stream in ("out", "err"))
        status = process.exitcode
        process.close()
    assert status is not None
    return CompletedProcess(command, status, out, err)


class ForkedProgram:
    """The program at work until it is told to end, as :class:`subprocess.Popen` gives it, without an input."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        (out, its_out), (err, its_err) = (_FORKING.Pipe(duplex=False) for _ in range(2))
        self._process = _FORKING.Process(
            target=_serving, args=(list(command), dict(environment), its_out, its_err), daemon=True
        )
        self._process.start()
        its_out.close()
        its_err.close()
        self.stdout, self.stderr = _lines_of(out), _lines_of(err)
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Give its exit status, or nothing while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and give its exit status; raises :class:`subprocess.TimeoutExpired`."""
        self._process.join(timeout)
        status = self._process.exitcode
        if status is None:
            raise TimeoutExpired("agentmem", timeout or 0)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        self.send_signal(signal.SIGKILL)


def _lines_of(pipe: Connection) -> IO[str]:
    lines = os.fdopen(os.dup(pipe.fileno()), encoding="utf-8", errors="replace")
    pipe.close()
    return lines


def _serving(command: list[str], environment: dict[str, str], out: Connection, err: Connection) -> None:
    _run(command, environment, [os.open(os.devnull, os.O_RDONLY), out.fileno(), err.fileno()])


def _command(folder: Path, command: list[str], environment: dict[str, str]) -> None:
    _run(command, environment, [os.open(folder / stream, flags) for stream, flags in _STREAMS.items()])


def _run(command: list[str], environment: dict[str, str], streams: Sequence[int]) -> None:
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  # as the interpreter opens them
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = command
    measured = coverage.process_startup(force=True)
    try:
        from agentmem.entrypoints.cli.main import app  # noqa: PLC0415  # read by the fork server

        app()
    finally:
        if measured is not None:
            measured.stop()
            measured.save()
