"""Tasks that outlive whoever waited for them."""

from __future__ import annotations

import asyncio


def hear(task: asyncio.Task[object]) -> None:
    """Take note of how a task ended, as its callback: whoever asked may have gone away by then."""
    if not task.cancelled():
        task.exception()
