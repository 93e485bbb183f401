"""Waiting for what another process or task does, with an end to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE = 30.0
"""Seconds after which a test gives up: far more than anything waited for takes."""


async def eventually(condition: Callable[[], Awaitable[bool]], *, seconds: float = PATIENCE) -> None:
    """Ask again and again until a condition holds; fails when it does not within ``seconds``."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110  # nothing here could set an event: others do the work
            await asyncio.sleep(0.01)
