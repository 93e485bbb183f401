"""Counting what keys are used for: in memory, written down every few seconds."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import structlog

from agentmem.errors import AgentMemError, Conflict
from agentmem.features.identity.usage import KeyCount, KeyUsage
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.state.lock import lock
from agentmem.foundation.state.port import PUBLIC, State
from agentmem.kit.clock import Clock, utc_now
from agentmem.kit.ids import OrganizationId

FLUSH_SECONDS: Final = 10.0
FLUSHING: Final = "writing down usage"
MOST_COUNTED: Final = 100_000
"""Counts that wait to be written; beyond them, while the database is away, new ones are lost."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Subject:
    organization_id: OrganizationId
    key_id: str
    day: date
    route: str
    status_class: int


@dataclass(slots=True)
class _Tally:
    requests: int
    cost: int
    last_used_at: datetime


class Meter:
    """Counts requests of each key, day, route and class of status until they are written down."""

    def __init__(self, usage: KeyUsage, state: State, *, clock: Clock = utc_now) -> None:
        self._usage = usage
        self._state = state
        self._clock = clock
        self._tallies: dict[_Subject, _Tally] = {}
        self._flushing = asyncio.Lock()

    def count(self, caller: Caller, route: str, status: int, cost: int) -> None:
        """Count an answered request; ``route`` is its template. Callers without a key are not counted."""
        if caller.api_key_id is None:
            return
        now = self._clock()
        subject = _Subject(caller.organization_id, caller.api_key_id, now.date(), route, status // 100)
        self._add(subject, _Tally(1, cost, now))

    async def flush(self) -> None:
        """Write down what was counted; what the database does not take is kept for the next time."""
        async with self._flushing:
            for organization_id, tallies in _by_organization(self._tallies).items():
                for subject in tallies:
                    del self._tallies[subject]  # What comes in from now on is counted anew.
                try:
                    await self._usage.record(organization_id, [_count_of(*item) for item in tallies.items()])
                except AgentMemError as error:
                    self._take_back(tallies)
                    log.warning("usage_not_written", code=error.code)
                except BaseException:
                    self._take_back(tallies)
                    raise

    async def flush_in_turn(self, wait: float) -> None:
        """Write down what was counted, unless others are at it for so many seconds: then it is kept for the next time.

        One process at a time, because they write the same rows and would wait for each other in the database.
        """
        try:
            async with lock(self._state, PUBLIC, FLUSHING, wait=wait):
                await self.flush()
        except Conflict:
            log.info("usage_waits")

    async def keep_flushing(self) -> None:
        """Write down what was counted, every few seconds until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self.flush_in_turn(FLUSH_SECONDS)
            except Exception as fault:  # noqa: BLE001  # the next round may do better, and the requests go on
                log.error("usage_not_written", error=type(fault).__name__)  # noqa: TRY400  # no content in logs

    def _take_back(self, tallies: Mapping[_Subject, _Tally]) -> None:
        for subject, tally in tallies.items():
            self._add(subject, tally)

    def _add(self, subject: _Subject, more: _Tally) -> None:
        tally = self._tallies.get(subject)
        if tally is not None:
            tally.requests += more.requests
            tally.cost += more.cost
            tally.last_used_at = max(tally.last_used_at, more.last_used_at)
        elif len(self._tallies) < MOST_COUNTED:
            self._tallies[subject] = more


def _by_organization(tallies: Mapping[_Subject, _Tally]) -> Mapping[OrganizationId, dict[_Subject, _Tally]]:
    found: dict[OrganizationId, dict[_Subject, _Tally]] = defaultdict(dict)
    for subject, tally in tallies.items():
        found[subject.organization_id][subject] = tally
    return found


def _count_of(subject: _Subject, tally: _Tally) -> KeyCount:
    return KeyCount(
        key_id=subject.key_id,
        day=subject.day,
        route=subject.route,
        status_class=subject.status_class,
        requests=tally.requests,
        cost=tally.cost,
        last_used_at=tally.last_used_at,
    )
