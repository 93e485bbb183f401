"""What a process of an installation counts, and where it is read."""

from __future__ import annotations

from collections.abc import Callable

from agentmem.errors import ConfigurationError
from agentmem.foundation.telemetry.metrics import Metrics
from agentmem.foundation.telemetry.watchers import Watchers


def watching(metrics: Metrics) -> Watchers:
    """Have what happens inside the application counted."""
    return Watchers(
        failed=metrics.authentication_failed,
        rate_limited=metrics.rate_limited,
        password=metrics.password_tried,
        embedded=metrics.embedded,
        fell_back=metrics.fell_back,
        dependencies=metrics,
        job_ended=metrics.jobs.ended,
        jobs_due=metrics.jobs.due,
    )


def listen(metrics: Metrics, host: str, port: int) -> Callable[[], None]:
    """Answer ``/metrics`` on a port of its own; give what ends it. Raises :class:`ConfigurationError`."""
    try:
        return metrics.listen(host, port)
    except OSError as error:
        raise ConfigurationError(
            f"The metrics cannot be had on {host}, port {port}: {error.args[-1]}.",
            hint="Set AGENTMEM_METRICS_PORT to a free port.",
        ) from None
