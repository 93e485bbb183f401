"""Background jobs, as values: their kinds, one that a worker has taken, and how long a failed one waits."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from agentmem.foundation.authorization.caller import Caller, Permission
from agentmem.kit.ids import JobId, OrganizationId, PrincipalId
from agentmem.schemas.jobs import JobState

__all__ = [
    "Argument",
    "Authorize",
    "Handler",
    "Job",
    "JobKind",
    "JobState",
    "Progress",
    "Reason",
    "Work",
    "full_jitter",
]

Argument = str | int
"""An id or a number; never anything that a user said."""

FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 300.0


WAITING: Final = (JobState.QUEUED, JobState.RUNNING)
"""States of a job that a worker is to look at again: when it is due, or when its worker's lease has run out."""


def full_jitter(tries: int) -> float:
    """Draw the seconds until the next try of what has failed so often: from nothing to twice as much each time."""
    return random.uniform(0.0, min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(tries, 32)))  # noqa: S311  # spreads load


@dataclass(frozen=True, kw_only=True, slots=True)
class JobKind:
    """One kind of job.

    ``permissions`` are what whoever asks for it must hold, when it is asked for and again when it runs; a kind without
    any is the service's own work. It is tried ``tries`` times, with ``wait(tries so far)`` seconds in between. Up to
    ``at_once`` jobs of one organization run at the same time.
    """

    name: str
    permissions: frozenset[Permission] = frozenset()
    tries: int = 10
    wait: Callable[[int], float] = full_jitter
    at_once: int = 1


@dataclass(kw_only=True, slots=True)
class Progress:
    """How far a running job is, written down with each sign of life; ``total`` is absent where nobody knows it."""

    done: int = 0
    total: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A job that a worker has taken; ``attempt`` counts all takings, and tells this one from every other."""

    id: JobId
    kind: str
    arguments: Mapping[str, Argument]
    attempt: int
    tries: int
    asked_by: PrincipalId
    progress: Progress = field(default_factory=Progress, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why a job failed: the code of an error, and a sentence without anybody's content."""

    code: str
    message: str


Handler = Callable[[Caller, Job], Awaitable[object]]
"""Does a job as the caller who asked for it; it may be called again, by another worker, after any of its steps."""

Authorize = Callable[[OrganizationId, PrincipalId], Awaitable[Caller]]
"""Gives whoever asked for a job as they stand now; raises when there is no such principal any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """A kind of jobs, and what does them."""

    kind: JobKind
    run: Handler
