"""Where the spans of a server process go: to an OpenTelemetry collector, in batches."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def export_traces(endpoint: str) -> Callable[[], None]:
    """Send this process's spans to a collector's OTLP address (HTTP); gives what flushes and ends it, which blocks."""
    resource = Resource.create({"service.name": "agentmem", "service.version": version("agentmem")})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)
    return provider.shutdown
