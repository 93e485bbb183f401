"""What a running server works with."""

from __future__ import annotations

from dataclasses import dataclass

from agentmem.bootstrap import App, Watchers
from agentmem.entrypoints.api.draining import Draining
from agentmem.foundation.ledger.requests import IdempotentRequests
from agentmem.foundation.telemetry.metrics import Metrics
from agentmem.pipelines.admission.admission import Admission
from agentmem.pipelines.health.readiness import Readiness


@dataclass(frozen=True, kw_only=True)
class Served:
    """The application and what surrounds it in a server process; every route reaches it by its request."""

    app: App
    admission: Admission
    metrics: Metrics
    idempotency: IdempotentRequests
    draining: Draining
    readiness: Readiness


def watching(metrics: Metrics) -> Watchers:
    """Have what happens inside the application counted."""
    return Watchers(
        failed=metrics.authentication_failed,
        rate_limited=metrics.rate_limited,
        embedded=metrics.embedded,
        fell_back=metrics.fell_back,
        dependencies=metrics,
    )
