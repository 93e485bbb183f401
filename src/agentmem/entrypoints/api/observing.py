"""What is told of each request: one log line, its metrics, and a span; by the route's template, never its path."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentmem.entrypoints.api.context import RouteRules, context_of
from agentmem.foundation.telemetry.metrics import Metrics
from agentmem.foundation.telemetry.traces import mark_failed, request_span, trace_id_of

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Finds the route of each request, and tells how it went."""

    app: ASGIApp
    metrics: Metrics
    find: Callable[[Scope], RouteRules]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        context = context_of(scope)
        context.rules = self.find(scope)
        status, whole = 0, False

        async def watched(message: Message) -> None:
            nonlocal status, whole
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)
            whole = message["type"] == "http.response.body" and not message.get("more_body", False)

        method = str(scope["method"])
        carrier = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _TRACE}
        with self.metrics.in_flight.track_inprogress(), request_span(carrier, method, context.request_id) as span:
            trace_id = trace_id_of(span)
            if trace_id is not None:
                structlog.contextvars.bind_contextvars(trace_id=trace_id)
            try:
                await self.app(scope, receive, watched)
            finally:
                seconds = time.perf_counter() - context.started
                code, status = context.code if whole else _CUT_OFF, status or _FAILED
                if span.is_recording():
                    span.update_name(f"{method} {context.route}")
                    span.set_attribute("http.route", context.route)
                    span.set_attribute("http.response.status_code", status)
                    if code is not None:
                        span.set_attribute("error.type", code)
                    if status >= _FAILED:
                        mark_failed(span, code or str(status))
                self.metrics.answered(method, context.route, status, seconds, code)
                _tell(method, context.route, status, seconds, code)


_TRACE = frozenset({b"traceparent", b"tracestate"})
_FAILED = 500
_CUT_OFF = "cut_off"
"""In place of an error's code: the answer did not come, or its end did not."""


def _tell(method: str, route: str, status: int, seconds: float, code: str | None) -> None:
    fields: dict[str, object] = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 3)}
    if code is not None:
        fields["code"] = code
    if status >= _FAILED or code == _CUT_OFF:
        log.warning("request", **fields)
    else:
        log.info("request", **fields)
