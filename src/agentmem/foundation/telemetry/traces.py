"""Spans of what a request does, for OpenTelemetry; without a collector they cost next to nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from agentmem.errors import AgentMemError

REQUEST_ID: Final = "agentmem.request_id"


def span(name: str, **attributes: str | float) -> AbstractContextManager[trace.Span]:
    """Measure the block as a part of what is going on; attributes are counts and names, never content."""
    return _measured(name, trace.SpanKind.INTERNAL, attributes, None)


def request_span(headers: Mapping[str, str], method: str, request_id: str) -> AbstractContextManager[trace.Span]:
    """Measure a request, as a part of the trace that its ``traceparent`` names, if it names one."""
    context = TraceContextTextMapPropagator().extract(headers) if "traceparent" in headers else None
    attributes = {"http.request.method": method, REQUEST_ID: request_id}
    return _measured(method, trace.SpanKind.SERVER, attributes, context)


@contextmanager
def _measured(
    name: str, kind: trace.SpanKind, attributes: Mapping[str, str | float], context: Context | None
) -> Iterator[trace.Span]:
    # The library would write the exception's message into the span, as an event and as its status: it may hold content.
    with trace.get_tracer("agentmem").start_as_current_span(
        name, context=context, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield current
        except Exception as error:
            mark_failed(current, error.code if isinstance(error, AgentMemError) else type(error).__name__)
            raise


def mark_failed(current: trace.Span, code: str) -> None:
    """Note that what a span measures failed: by the error's code, never its message."""
    current.set_status(trace.StatusCode.ERROR)
    current.set_attribute("error.type", code)


def trace_id_of(current: trace.Span) -> str | None:
    """Give the id of the trace that a span is a part of, if anybody records it."""
    context = current.get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None
