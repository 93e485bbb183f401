"""What is told to whoever counts; in the embedded library nobody does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agentmem.foundation.resilience.guarded import Observer, Unobserved


def unheard(*_told: object) -> None:
    """Hear what a watcher is told, and do nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Watchers:
    """What a process counts; ``embedded`` is told what was embedded, and in how many seconds."""

    failed: Callable[[str], None] = unheard
    rate_limited: Callable[[str], None] = unheard
    embedded: Callable[[str, float], None] = unheard
    password: Callable[[str], None] = unheard
    fell_back: Callable[[], None] = unheard
    dependencies: Observer = field(default_factory=Unobserved)
    job_ended: Callable[[str, str], None] = unheard
    jobs_due: Callable[[Mapping[str, tuple[int, float]]], None] = unheard
