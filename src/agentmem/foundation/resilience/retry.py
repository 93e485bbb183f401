"""When a call that failed is made again: the one policy of the server and the library.

A call is repeated only if it may be (``idempotent``), by one layer alone, a bounded number of times, never past the
deadline, and while the dependency's budget lasts: repeats that come on top of an outage make it longer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from random import SystemRandom
from time import monotonic
from typing import Final, TypeVar

import stamina
import structlog

from agentmem.errors import DeadlineExceeded, Unavailable
from agentmem.foundation.resilience.deadline import within

Result = TypeVar("Result")
Retried = Callable[[str], None]

_CHANCE: Final = SystemRandom()
_REPEATING: ContextVar[bool] = ContextVar("agentmem_repeating", default=False)
log = structlog.get_logger(__name__)


def backoff(failures: int, *, base: float, cap: float) -> float:
    """Give the seconds to wait after so many failures, 1 or more: exponential, with full jitter.

    Anything between 0 and the smaller of ``cap`` and ``base`` doubled with each failure: callers that failed together
    do not come back together.
    """
    return _CHANCE.uniform(0.0, min(cap, base * 2 ** min(failures - 1, 32)))


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """How often a call is made at most, and the bounds in seconds of the waits between.

    What a dependency asks for in its answer (``retry_after``) is waited instead, if that is at most ``cap``.
    """

    attempts: int = 3
    base: float = 0.1
    cap: float = 5.0


class RetryBudget:
    """How many repeats a dependency may be asked for: one for every ten calls, one each ten seconds, ten at once."""

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        """Make a full one; ``clock`` gives seconds."""
        self._clock = clock
        self._tokens = _MOST_TOKENS
        self._filled_at = clock()

    def called(self) -> None:
        """Note a call, which earns a part of a repeat."""
        self._earn(_PER_CALL)

    def spend(self) -> bool:
        """Take a repeat out of the budget, and tell whether there was one."""
        now = self._clock()
        self._earn((now - self._filled_at) * _PER_SECOND)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _earn(self, tokens: float) -> None:
        self._tokens = min(_MOST_TOKENS, self._tokens + tokens)


_MOST_TOKENS: Final = 10.0
_PER_CALL: Final = 0.1
_PER_SECOND: Final = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Retrying:
    """Calls a dependency, and again after a failure that may pass; ``retried`` is told its name each time."""

    dependency: str
    policy: RetryPolicy
    budget: RetryBudget
    retried: Retried

    async def call(self, function: Callable[[], Awaitable[Result]]) -> Result:
        """Give the first result, or raise the last failure; a call inside another's repeats is made once."""
        self.budget.called()
        if _REPEATING.get():
            return await function()
        failures = 0

        def wait_after(error: Exception) -> bool | float:
            nonlocal failures
            failures += 1
            return self._wait(error, failures)

        token = _REPEATING.set(True)
        try:
            async for attempt in stamina.retry_context(on=wait_after, attempts=None, timeout=None):
                with attempt:
                    return await function()
        finally:
            _REPEATING.reset(token)
        raise AssertionError("unreachable")

    def _wait(self, error: Exception, failures: int) -> bool | float:
        """Decide after how many seconds the call is made again; ``False`` for never."""
        if not isinstance(error, Unavailable) or not error.retryable or failures >= self.policy.attempts:
            return False
        wait = error.retry_after
        if wait is None:
            wait = backoff(failures, base=self.policy.base, cap=self.policy.cap)
        if wait > self.policy.cap or not _is_time_for(wait) or not self.budget.spend():
            return False
        log.info("retrying", dependency=self.dependency, failures=failures, seconds=round(wait, 3), code=error.code)
        self.retried(self.dependency)
        return wait


def _is_time_for(seconds: float) -> bool:
    try:
        return within(seconds) >= seconds
    except DeadlineExceeded:
        return False
