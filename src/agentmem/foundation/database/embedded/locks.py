"""Locks on files: each belongs to an open file, is inherited, and ends with the last process that holds it open.

No process id is ever trusted: an id can be reused, or mean another process in another container; a lock cannot.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentmem.errors import DatabaseUnavailable
from agentmem.foundation.database.embedded.layout import open_private

_PAUSE = 0.004


def open_lock(path: Path) -> int:
    """Open a lock file and give its descriptor."""
    return open_private(path, os.O_RDWR)


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Take a lock if that is possible at once."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock(descriptor: int, *, shared: bool = False, deadline: float) -> None:
    """Take a lock, waiting until ``deadline`` (``time.monotonic``); raises :class:`DatabaseUnavailable` then."""
    while not try_lock(descriptor, shared=shared):
        if time.monotonic() > deadline:
            raise DatabaseUnavailable(
                "The embedded server is being started or stopped by another process, which does not finish.",
                hint="Try again, and read log/postgresql.log in the data directory.",
            )
        time.sleep(_PAUSE)


def is_held(path: Path) -> bool:
    """Say whether any process holds this lock exclusively."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(descriptor, shared=True)
    finally:
        os.close(descriptor)


@contextmanager
def holding(path: Path, *, deadline: float) -> Iterator[None]:
    """Hold a lock exclusively; every process that looks at the same path waits for its turn."""
    descriptor = open_lock(path)
    try:
        lock(descriptor, deadline=deadline)
        yield
    finally:
        os.close(descriptor)
