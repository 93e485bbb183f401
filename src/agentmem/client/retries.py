"""When a call is sent again, and after how long; a pure decision."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from agentmem.errors import AgentMemError, Overloaded, RateLimited

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 8.0
SHARE: Final = 0.1
"""Retries may make up a tenth of what is sent: more would keep a struggling server down."""

RESERVE: Final = 10.0


class Stage(Enum):
    """How far a failed attempt came."""

    NOT_SENT = auto()
    """No connection was made, so nothing was asked for."""

    CUT = auto()
    """The connection broke after something was sent: whether the server did it is not known."""

    ANSWERED = auto()
    """The server refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """A failed attempt: the error it ends with unless it is repeated, and how far it came."""

    error: AgentMemError
    stage: Stage


@dataclass(kw_only=True, slots=True)
class Retries:
    """How often a client sends a call again, and the budget of all its retries.

    ``most`` is for one call; ``patience`` is the longest pause that a server may ask for, in seconds.
    """

    most: int
    patience: float
    _budget: float = RESERVE

    def began(self) -> None:
        """Note that a call is sent for the first time."""
        self._budget = min(RESERVE, self._budget + SHARE)

    def pause(self, attempt: int, failed: Failed, chance: float, *, repeatable: bool) -> float | None:
        """Give the seconds to wait before the next attempt, or ``None`` to give up.

        ``attempt`` counts from 0. ``repeatable`` says that doing the call twice does no more than doing it once;
        ``chance``, from 0 to 1, keeps clients that failed together from coming back together.
        """
        asked = failed.error.retry_after
        hopeless = attempt >= self.most or not _may_repeat(failed, repeatable=repeatable)
        if hopeless or self._budget < 1 or (asked is not None and asked > self.patience):
            return None
        self._budget -= 1
        backoff = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**attempt)
        return backoff * (0.5 + chance / 2) if asked is None else asked + FIRST_PAUSE * chance


def _may_repeat(failed: Failed, *, repeatable: bool) -> bool:
    if failed.stage is Stage.NOT_SENT:
        return True
    if failed.stage is Stage.CUT:
        return repeatable
    # These two are answered before a request is looked at.
    return isinstance(failed.error, RateLimited | Overloaded) or (repeatable and failed.error.retryable)
