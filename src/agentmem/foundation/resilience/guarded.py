"""A dependency behind its guards: a breaker, a bulkhead, a time for its answers, and the one retry policy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import structlog

from agentmem.errors import Unavailable
from agentmem.foundation.resilience.breaker import Breaker, BreakerRules, BreakerState
from agentmem.foundation.resilience.bulkhead import Bulkhead
from agentmem.foundation.resilience.deadline import within
from agentmem.foundation.resilience.retry import RetryBudget, Retrying, RetryPolicy

Result = TypeVar("Result")
log = structlog.get_logger(__name__)


class Observer(Protocol):
    """Who wants to know how dependencies are, by their names."""

    def breaker_changed(self, dependency: str, state: BreakerState) -> None:
        """Hear that a breaker is there, or that it opened, closed or lets probes through."""
        ...

    def retried(self, dependency: str) -> None:
        """Hear that a call is made again."""
        ...


class Unobserved:
    """Hears, and does nothing."""

    def breaker_changed(self, dependency: str, state: BreakerState) -> None:
        """Hear of a breaker."""

    def retried(self, dependency: str) -> None:
        """Hear of a retry."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Guard:
    """What one dependency is granted: ``seconds`` for an answer, ``most`` calls at once, and more that are ``waiting``.

    Its ``name`` is for logs and metrics, ``what`` for messages. ``error`` is what its callers are told when it is not
    asked at all, or does not answer in time.
    """

    name: str
    what: str
    error: type[Unavailable]
    seconds: float
    most: int = 32
    waiting: int = 128
    breaker: BreakerRules = field(default_factory=BreakerRules)
    retry: RetryPolicy = field(default_factory=RetryPolicy)


@dataclass(frozen=True, slots=True)
class _Final:
    """A failure that is not tried again."""

    error: Unavailable


class Guarded:
    """The only way to one dependency."""

    def __init__(self, guard: Guard, observer: Observer | None = None) -> None:
        """Put its guards around a dependency."""
        self._observer = observer = observer or Unobserved()
        self._guard = guard
        self._breaker = Breaker(guard.breaker, changed=self._changed)
        self._bulkhead = Bulkhead(most=guard.most, waiting=guard.waiting)
        self._retrying = Retrying(
            dependency=guard.name, policy=guard.retry, budget=RetryBudget(), retried=observer.retried
        )
        observer.breaker_changed(guard.name, self._breaker.state)

    @property
    def name(self) -> str:
        """What the dependency is called in logs and metrics."""
        return self._guard.name

    @property
    def state(self) -> BreakerState:
        """Whether calls go through."""
        return self._breaker.state

    async def call(
        self, function: Callable[[], Awaitable[Result]], *, idempotent: bool = True, seconds: float | None = None
    ) -> Result:
        """Ask the dependency; ``seconds`` is for an answer, in place of the guard's own.

        ``function`` raises :class:`Unavailable` when the dependency fails: that counts against it, and the call is made
        again if it is ``idempotent``. Raises the guard's error without asking while the breaker is open or too many
        calls are under way, and after the time for an answer; it is not asked again then, for it may still be at it.
        """
        limit = self._guard.seconds if seconds is None else seconds
        if self._breaker.state is BreakerState.OPEN:
            raise self._left_alone()
        if self._bulkhead.is_full:
            raise self._error("has as many calls as it takes", 1.0)
        waiting = asyncio.timeout(within(limit))
        try:
            async with waiting, self._bulkhead.turn():
                waiting.reschedule(None)
                outcome = await self._ask(function, limit, idempotent=idempotent)
        except TimeoutError:
            if not waiting.expired():
                raise
            raise self._error("has as many calls as it takes", 1.0) from None
        if isinstance(outcome, _Final):
            raise outcome.error
        return outcome

    async def _ask(
        self, function: Callable[[], Awaitable[Result]], limit: float, *, idempotent: bool
    ) -> Result | _Final:
        async def once() -> Result | _Final:
            return await self._once(function, limit)

        return await (self._retrying.call(once) if idempotent else once())

    async def _once(self, function: Callable[[], Awaitable[Result]], limit: float) -> Result | _Final:
        seconds = within(limit)
        era = self._breaker.admit()
        if era is None:
            return _Final(self._left_alone())
        deadline = asyncio.timeout(seconds)
        try:
            async with deadline:
                result = await function()
        except Unavailable:
            self._breaker.failed(era)
            raise
        except TimeoutError:
            if not deadline.expired():
                self._breaker.given_up(era)
                raise
            self._breaker.failed(era)
            return _Final(self._error(f"did not answer within {seconds:.3g} s", None))
        except BaseException:
            self._breaker.given_up(era)
            raise
        self._breaker.succeeded(era)
        return result

    def _changed(self, state: BreakerState) -> None:
        log.warning("breaker", dependency=self._guard.name, state=state.value)
        self._observer.breaker_changed(self._guard.name, state)

    def _left_alone(self) -> Unavailable:
        return self._error("keeps failing and is left alone for a while", self._breaker.retry_after)

    def _error(self, what: str, retry_after: float | None) -> Unavailable:
        return self._guard.error(f"{self._guard.what} {what}.", retry_after=retry_after)
