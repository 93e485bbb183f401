"""A measured engine in a process of its own, driven by lines of JSON: AgentMem (``subject.py``) or mem0."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

SETTINGS: Final = ("MEM0_TELEMETRY=False", "ORT_DISABLE_TELEMETRY=1")
"""No event leaves this machine."""


class Engine:
    """A running engine; the time from the start of its process to its first answer is ``started_ms``."""

    def __init__(self, python: str | Path, program: Path | str, *, directory: Path, **opening: object) -> None:
        script = ["-m", program] if isinstance(program, str) else [str(program)]
        # A file, because a pipe that nobody reads would stop a talkative engine.
        self._errors = (directory / "errors.log").open("w+", encoding="utf-8")
        began = time.perf_counter()
        self._process = subprocess.Popen(
            # Nothing is written outside the benchmark's folder, whatever an engine takes for its home.
            ["/usr/bin/env", *SETTINGS, f"MEM0_DIR={directory}", f"HOME={directory}", str(python), *script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.opened = self.ask("open", directory=str(directory), **opening)
        self.started_ms = (time.perf_counter() - began) * 1000

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process in order; waits until it is gone."""
        self._process.communicate(timeout=120)
        self._errors.close()

    def ask(self, command: str, **arguments: object) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": command, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            line = ""
        else:
            line = self._process.stdout.readline()
        if not line:
            self._process.communicate(timeout=120)
            self._errors.seek(0)
            raise RuntimeError(f"The engine ended at {command!r}:\n{self._errors.read()[-3000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ms(self, command: str, **arguments: object) -> list[float]:
        """Send a command and give the milliseconds of each of its calls."""
        times: list[float] = self.ask(command, **arguments)["ms"]
        return times
