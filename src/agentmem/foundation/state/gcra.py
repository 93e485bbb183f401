"""The arithmetic of a quota, in whole microseconds: the generic cell rate algorithm.

A quota is kept as one number, the time at which all of it will be back. Each cost unit moves that time on by the
quota's ``interval``; it may lie at most ``burst`` ahead. ``rates.lua`` does the same inside Redis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agentmem.foundation.state.port import Level, Quota

MICROSECONDS: Final = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """A quota in microseconds: how long one cost unit takes to come back, and how long all of them do."""

    limit: int
    interval: int

    @property
    def burst(self) -> int:
        """How far ahead the time of a used up quota lies."""
        return self.limit * self.interval

    def price(self, cost: int) -> int:
        """Give what a cost takes, at most the whole quota."""
        return min(cost, self.limit) * self.interval

    def missing(self, used: int, cost: int) -> int:
        """Give how long it takes until a cost can be taken from a quota of which ``used`` is in use; 0 for now."""
        return max(0, used + self.price(max(cost, 1)) - self.burst)


def rate_of(quota: Quota) -> Rate:
    """Read a quota; its interval is rounded down, so that the whole limit always fits into the window."""
    limit = max(1, quota.limit)
    return Rate(limit=limit, interval=max(1, int(quota.window * MICROSECONDS) // limit))


def level_of(quota: Quota, rate: Rate, used: int, missing: int) -> Level:
    """Say in units and seconds what is left of a quota."""
    return Level(
        quota=quota,
        remaining=(rate.burst - used) // rate.interval,
        reset_after=used / MICROSECONDS,
        retry_after=missing / MICROSECONDS,
    )
