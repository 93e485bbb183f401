"""Running the command line as people do: as a process, with pipes or on a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.forked import run_forked

PROGRAM = str(Path(sys.executable).with_name("agentmem"))
PATIENCE = 120.0


@dataclass(frozen=True, kw_only=True)
class CommandLine:
    """The command line on one data directory."""

    directory: Path
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What the processes get to see."""
        return {**os.environ, "AGENTMEM_DATA_DIRECTORY": str(self.directory), "COLUMNS": "100", **self.extra}

    def run(self, *arguments: str, given: str = "", status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end with this standard input; it must end with this status."""
        done = run_forked(PROGRAM, arguments, given=given, environment=self.environment, seconds=PATIENCE)
        assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
        return done

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script of bash to its end, without standard input."""
        return subprocess.run(
            ["bash", "-c", script],
            stdin=subprocess.DEVNULL,
            env=self.environment,
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE,
            check=False,
        )

    def json(self, *arguments: str, given: str = "") -> object:
        """Run a command with ``--json`` and read the one document that it writes."""
        return json.loads(self.run(*arguments, "--json", given=given).stdout)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command with pipes, to be ended by the caller."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [PROGRAM, *arguments], stdin=pipe, stdout=pipe, stderr=pipe, env=self.environment, encoding="utf-8"
        )

    @contextmanager
    def terminal(self, *arguments: str, columns: int = 100) -> Iterator[Terminal]:
        """Start a command on a terminal of its own."""
        process, descriptor = pty.fork()
        if process == 0:
            # As a terminal starts it, whatever the tests' own process ignores, or has been started to ignore.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.execve(PROGRAM, [PROGRAM, *arguments], {**self.environment, "TERM": "dumb", "COLUMNS": str(columns)})
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        terminal = Terminal(process=process, descriptor=descriptor)
        try:
            yield terminal
        finally:
            os.close(descriptor)


@dataclass(kw_only=True)
class Terminal:
    """What a person sees of a command, and types into it."""

    process: int
    descriptor: int
    seen: str = ""
    waited: int = 0

    def wait_for(self, text: str) -> None:
        """Wait until the terminal shows a text, after what the last wait was for."""
        while (found := self.seen.find(text, self.waited)) < 0:
            piece = self._read()
            assert piece, f"ended, or said nothing more, without {text!r}: {self.seen[self.waited :]!r}"
            self.seen += piece
        self.waited = found + len(text)

    def type(self, text: str) -> None:
        """Type a text; a line ends with a line break."""
        os.write(self.descriptor, text.encode())

    def press_until(self, key: str, text: str) -> None:
        """Press a key, again after each second of silence, until the terminal shows a text; for keys that may be lost.

        Never sooner: between two prompts, a second interrupt rightly ends the program.
        """
        for _ in range(int(PATIENCE)):
            self.type(key)
            while (found := self.seen.find(text, self.waited)) < 0 and (piece := self._read(1.0)):
                self.seen += piece
            if found >= 0:
                self.waited = found + len(text)
                return
        raise AssertionError(f"{key!r} did not bring {text!r}: {self.seen[self.waited :]!r}")

    def end(self) -> int:
        """Read to the end and give the exit status."""
        while piece := self._read():
            self.seen += piece
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])

    def _read(self, patience: float = PATIENCE) -> str:
        if not select.select([self.descriptor], [], [], patience)[0]:
            return ""
        try:
            return os.read(self.descriptor, 65536).decode("utf-8", errors="replace")
        except OSError:  # the other side is gone
            return ""


@contextmanager
def temporary_command_line(**extra: str) -> Iterator[CommandLine]:
    """Give a command line with an empty store that is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="agentmem-cli-", ignore_cleanup_errors=True) as folder:
        yield CommandLine(directory=Path(folder) / "store", extra=extra)
