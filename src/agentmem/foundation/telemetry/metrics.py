"""Metrics for Prometheus: counts and times of a server process; labels are route templates and codes, never ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, start_http_server
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from agentmem.foundation.resilience.breaker import BreakerState

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class JobMetrics:
    """What a process counts of background jobs."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ended = Counter(
            "agentmem_jobs",
            "Tries of jobs that ended, by what became of the job.",
            ("kind", "state"),
            registry=registry,
        )
        self._due = Gauge(
            "agentmem_jobs_due_organizations",
            "Organizations whose jobs wait for a worker.",
            ("kind",),
            registry=registry,
        )
        self._oldest = Gauge(
            "agentmem_jobs_due_seconds", "How long the first of them has waited.", ("kind",), registry=registry
        )

    def ended(self, kind: str, state: str) -> None:
        """Count a try of a job; ``queued`` is the state of one that is tried again."""
        self._ended.labels(kind, state).inc()

    def due(self, waiting: Mapping[str, tuple[int, float]]) -> None:
        """Note how many organizations have jobs of each kind that wait, and for how many seconds the first of them."""
        self._due.clear()
        self._oldest.clear()
        for kind, (organizations, seconds) in waiting.items():
            self._due.labels(kind).set(organizations)
            self._oldest.labels(kind).set(seconds)


class Metrics:
    """What one server process counts, in a registry of its own, so that several may live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter("http_requests", "Requests answered.", "method", "route", "status")
        self._seconds = Histogram(
            "agentmem_http_request_seconds",
            "Time from the head of a request to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge("agentmem_http_in_flight", "Requests being worked on.", registry=self.registry)
        self._problems = self._counter("problems", "Requests answered by an error, by its code.", "code")
        self._unauthenticated = self._counter(
            "authentication_failures", "Requests whose key was refused, and why.", "reason"
        )
        self._passwords = self._counter("passwords", "Passwords that were tried, and what became of them.", "outcome")
        self._rate_limited = self._counter(
            "rate_limited", "Requests that a rate limit refused, and which.", "dimension"
        )
        self._embedding = Histogram(
            "agentmem_embedding_seconds",
            "Time of one call of the embedding model, by what it embeds.",
            ("kind",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._fallbacks = self._counter("state_fallback", "Calls answered by this process for want of Redis.")
        self._breakers = Gauge(
            "agentmem_breaker_state",
            "Whether a dependency is asked: 0 closed (it is), 1 half open (now and then), 2 open (it is not).",
            ("dependency",),
            registry=self.registry,
        )
        self.jobs = JobMetrics(self.registry)
        self._retries = self._counter("retries", "Calls of a dependency that were made again.", "dependency")
        build = Gauge("agentmem_build_info", "The version that runs.", ("version",), registry=self.registry)
        build.labels(version("agentmem")).set(1)

    def _counter(self, name: str, counts: str, *labels: str) -> Counter:
        return Counter(f"agentmem_{name}", counts, labels, registry=self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float, code: str | None) -> None:
        """Count an answered request; ``route`` is the route's template, ``code`` that of the error, if it is one."""
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        if code is not None:
            self._problems.labels(code).inc()

    def authentication_failed(self, reason: str) -> None:
        """Count a request whose key was refused."""
        self._unauthenticated.labels(reason).inc()

    def password_tried(self, outcome: str) -> None:
        """Count a password that was tried."""
        self._passwords.labels(outcome).inc()

    def rate_limited(self, dimension: str) -> None:
        """Count a request that a rate limit refused."""
        self._rate_limited.labels(dimension).inc()

    def embedded(self, kind: str, seconds: float) -> None:
        """Count a call of the embedding model; ``kind`` is ``query`` or ``documents``."""
        self._embedding.labels(kind).observe(seconds)

    def fell_back(self) -> None:
        """Count a call that the shared state did not answer."""
        self._fallbacks.inc()

    def breaker_changed(self, dependency: str, state: BreakerState) -> None:
        """Note whether a dependency is asked."""
        self._breakers.labels(dependency).set(_OPENNESS[state])

    def retried(self, dependency: str) -> None:
        """Count a call that is made again."""
        self._retries.labels(dependency).inc()

    def text(self) -> bytes:
        """Write everything as Prometheus reads it."""
        return generate_latest(self.registry)

    def listen(self, host: str, port: int) -> Callable[[], None]:
        """Answer ``/metrics`` on a port of its own; gives what ends it, which blocks."""
        server, thread = start_http_server(port, addr=host, registry=self.registry)

        def end() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return end


_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_OPENNESS: Final = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}
