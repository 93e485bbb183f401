"""Spans of what a request does, for OpenTelemetry; without a collector they cost next to nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator


@contextmanager
def span(name: str, **attributes: str | float) -> Iterator[trace.Span]:
    """Measure the block as a part of what is going on; attributes are counts and names, never content."""
    tracer = trace.get_tracer("agentmem")
    # An exception's message may hold content: only that the span failed is told, by its status.
    with tracer.start_as_current_span(name, attributes=attributes, record_exception=False) as current:
        yield current


@contextmanager
def request_span(headers: Mapping[str, str], method: str) -> Iterator[trace.Span]:
    """Measure a request, as a part of the trace that its ``traceparent`` names, if it names one."""
    context = TraceContextTextMapPropagator().extract(headers) if "traceparent" in headers else None
    tracer = trace.get_tracer("agentmem")
    with tracer.start_as_current_span(
        method,
        context=context,
        kind=trace.SpanKind.SERVER,
        attributes={"http.request.method": method},
        record_exception=False,
    ) as current:
        yield current


def trace_id_of(current: trace.Span) -> str | None:
    """Give the id of the trace that a span is a part of, if anybody records it."""
    context = current.get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None
