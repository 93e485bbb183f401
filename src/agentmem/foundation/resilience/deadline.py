"""Until when a call is waited for: set where a request comes in, heeded where something else is asked for an answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import Final

from agentmem.errors import DeadlineExceeded

_SHARE: Final = 0.5
"""How much of the time that is left one dependency may take: the rest is for doing without it, and for the answer."""

_ENDS: ContextVar[float | None] = ContextVar("agentmem_deadline", default=None)


@contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Bound what is asked of others inside the block; an earlier end that is set already stays.

    ``None`` takes the bound away, for work that several callers share: the first one's end is not that of the others.
    """
    before = _ENDS.get()
    ends = None if seconds is None else monotonic() + seconds
    token = _ENDS.set(ends if ends is None or before is None else min(before, ends))
    try:
        yield
    finally:
        _ENDS.reset(token)


def within(seconds: float) -> float:
    """Give the seconds that a dependency has for an answer: its own, or half of what is left of the request's.

    Raises :class:`DeadlineExceeded` when nothing is left.
    """
    ends = _ENDS.get()
    if ends is None:
        return seconds
    left = ends - monotonic()
    if left <= 0:
        raise DeadlineExceeded("The request has no time left.", hint="Retry, or raise AGENTMEM_REQUEST_TIMEOUT.")
    return min(seconds, left * _SHARE)
