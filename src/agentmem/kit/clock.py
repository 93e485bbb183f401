"""The present moment, always in UTC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Give the present moment with the UTC zone attached."""
    return datetime.now(UTC)
