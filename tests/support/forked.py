"""The command line in processes that are forked from one which has read the program: the same processes, sooner there.

Reading a few hundred modules takes a process longer than most commands do. The standard library's fork server reads
them once for each worker of the tests; what a command sees of its input, output and environment is its own.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory
from typing import Final

import coverage

_STREAMS: Final = {"in": os.O_RDONLY, "out": os.O_WRONLY | os.O_APPEND, "err": os.O_WRONLY | os.O_APPEND}
_FORKING: Final = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(["agentmem.bootstrap", "agentmem.entrypoints.cli.main"])


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


def _command(folder: Path, command: list[str], environment: dict[str, str]) -> None:
    for number, (stream, flags) in enumerate(_STREAMS.items()):
        descriptor = os.open(folder / stream, flags)
        os.dup2(descriptor, number)
        os.close(descriptor)
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
