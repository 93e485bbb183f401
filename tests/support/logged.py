"""The log of this process, as a server writes it, for a test to read."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

import structlog

from agentmem.foundation.telemetry.logs import set_up_logs


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """Give everything that is logged until the block ends, line by line."""
    before = structlog.get_config()
    written = io.StringIO()
    with redirect_stderr(written):
        set_up_logs("debug")
        yield written
    structlog.configure(**before)
