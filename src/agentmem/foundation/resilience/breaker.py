"""A circuit breaker: a dependency that keeps failing is left alone for a while, so that nobody waits for it in vain."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic
from typing import Final


class BreakerState(StrEnum):
    """Whether calls go through."""

    CLOSED = "closed"
    """They do."""
    OPEN = "open"
    """None does."""
    HALF_OPEN = "half_open"
    """A few do, to find out whether the dependency is back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BreakerRules:
    """When a breaker opens, and when it closes again.

    It opens after so many ``failures`` in a row, or when the share ``error_rate`` of at least ``minimum`` calls of the
    last ``window`` seconds failed. It stays open for ``open_seconds``; then up to ``probes`` calls at once are let
    through, of which so many ``successes`` in a row close it and one failure opens it again.
    """

    failures: int = 5
    open_seconds: float = 60.0
    successes: int = 2
    probes: int = 1
    window: float = 60.0
    minimum: int = 20
    error_rate: float = 0.5


Changed = Callable[[BreakerState], None]
_SLICES: Final = 12
"""Parts that the window is counted in, so that it needs the same memory however many calls there are."""


@dataclass(kw_only=True, slots=True)
class _Slice:
    number: int
    calls: int = 0
    failures: int = 0


class Breaker:
    """Counts how the calls of one dependency end; whoever calls asks :meth:`admit` before and tells how it ended."""

    def __init__(
        self, rules: BreakerRules, *, clock: Callable[[], float] = monotonic, changed: Changed = lambda _state: None
    ) -> None:
        """Make a closed one; ``clock`` gives seconds, ``changed`` is told each new state."""
        self._rules = rules
        self._clock = clock
        self._changed = changed
        self._state = BreakerState.CLOSED
        self._era = 0
        self._in_a_row = 0
        self._probing = 0
        self._opened_at = 0.0
        self._slices: deque[_Slice] = deque(maxlen=_SLICES)

    @property
    def state(self) -> BreakerState:
        """Whether calls go through; an open one whose time is over lets probes through."""
        if self._state is BreakerState.OPEN and self.retry_after <= 0:
            return BreakerState.HALF_OPEN
        return self._state

    @property
    def retry_after(self) -> float:
        """Seconds until an open breaker lets a probe through; 0 for one that lets calls through."""
        if self._state is not BreakerState.OPEN:
            return 0.0
        return max(0.0, self._opened_at + self._rules.open_seconds - self._clock())

    def admit(self) -> int | None:
        """Let a call through, or not: give the number of the present state, to be told with how the call ended.

        Exactly one of :meth:`succeeded`, :meth:`failed` and :meth:`given_up` must follow. A call that outlasted the
        state in which it began says nothing any more.
        """
        state = self.state
        if state is BreakerState.OPEN:
            return None
        if state is BreakerState.HALF_OPEN:
            if self._state is BreakerState.OPEN:
                self._become(BreakerState.HALF_OPEN)
            if self._probing >= self._rules.probes:
                return None
            self._probing += 1
        return self._era

    def succeeded(self, era: int) -> None:
        """Note that a call was answered."""
        if era != self._era:
            return
        self._count(failed=False)
        if self._state is BreakerState.CLOSED:
            self._in_a_row = 0
            return
        self._probing -= 1
        self._in_a_row += 1
        if self._in_a_row >= self._rules.successes:
            self._slices.clear()
            self._become(BreakerState.CLOSED)

    def failed(self, era: int) -> None:
        """Note that a call was not answered."""
        if era != self._era:
            return
        self._count(failed=True)
        self._in_a_row += 1
        probed = self._state is BreakerState.HALF_OPEN
        if probed or self._in_a_row >= self._rules.failures or self._fails_too_often():
            self._opened_at = self._clock()
            self._become(BreakerState.OPEN)

    def given_up(self, era: int) -> None:
        """Note that a call ended without saying anything of the dependency: its caller went away, say."""
        if era == self._era and self._state is BreakerState.HALF_OPEN:
            self._probing -= 1

    def _become(self, state: BreakerState) -> None:
        self._era += 1
        self._in_a_row = self._probing = 0
        self._state = state
        self._changed(state)

    def _count(self, *, failed: bool) -> None:
        length = self._rules.window / _SLICES
        number = int(self._clock() // length)
        if not self._slices or self._slices[-1].number != number:
            self._slices.append(_Slice(number=number))
        self._slices[-1].calls += 1
        self._slices[-1].failures += failed

    def _fails_too_often(self) -> bool:
        oldest = self._slices[-1].number - _SLICES
        recent = [each for each in self._slices if each.number > oldest]
        calls = sum(each.calls for each in recent)
        return calls >= self._rules.minimum and sum(each.failures for each in recent) >= self._rules.error_rate * calls
