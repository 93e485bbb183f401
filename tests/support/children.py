"""Programs that a test starts beside itself: they use a store, and may be killed at any moment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

Child = subprocess.Popen[str]


@contextmanager
def python_child(program: str, *arguments: str | Path) -> Iterator[Child]:
    """Run a Python program with its input and output connected, and end it with the block."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            yield child
        finally:
            child.kill()
            child.wait()


def run_python(program: str, *arguments: str | Path, seconds: float = 120) -> str:
    """Run a Python program to its end and give what it printed; it must succeed."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def next_line(child: Child) -> str:
    """Give the next line that a child prints, without its end; empty when it has ended."""
    assert child.stdout is not None
    return child.stdout.readline().rstrip("\n")
