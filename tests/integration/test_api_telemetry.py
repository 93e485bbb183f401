"""What a server tells of its requests: route templates and codes, traces through add and search, and never content."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
import structlog
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agentmem import AsyncMemory
from agentmem.bootstrap import open_app
from agentmem.entrypoints.measured import watching
from agentmem.foundation.resilience.breaker import BreakerState
from agentmem.foundation.telemetry.logs import forward_library_logs
from agentmem.foundation.telemetry.metrics import Metrics
from agentmem.pipelines.health.guards import Guards
from agentmem.schemas.access import Role
from agentmem.schemas.memories import Scope
from agentmem.settings import Settings
from tests.support.logged import logged
from tests.support.served import client, key_of, operator_key, served_by
from tests.support.toys import SECRET, Toy

CANARY = "canary-7f3a"
FAILED_TRACE = "1af7651916cd43dd8448eb211c80319c"
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def log_lines() -> Iterator[io.StringIO]:
    """Everything that is logged meanwhile, as the server writes it."""
    with logged() as written:
        yield written


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    """The spans of this process; a process has one provider for its life."""
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


def parsed(written: io.StringIO) -> list[dict[str, object]]:
    """Read the log lines."""
    return [json.loads(line) for line in written.getvalue().splitlines()]


async def test_each_request_is_one_line_with_its_template_and_its_id(
    memory: AsyncMemory, log_lines: io.StringIO
) -> None:
    async with client(memory.app, await key_of(memory)) as opened:
        unknown = await opened.get(f"/v1/memories/{uuid4()}", headers={"X-Request-ID": "mine-1"})
        await opened.get(f"/{CANARY}")
    assert unknown.status_code == 404
    lines = [line for line in parsed(log_lines) if line["event"] == "request"]
    assert [(line["method"], line["status"]) for line in lines] == [("GET", 404), ("GET", 404)]
    assert lines[0]["request_id"] == "mine-1"
    assert lines[0]["code"] == "not_found"
    assert "{memory_id" in str(lines[0]["route"])
    assert lines[1]["route"] == "unmatched"
    assert CANARY not in log_lines.getvalue()


async def test_no_content_no_id_and_no_key_is_in_logs_or_metrics(memory: AsyncMemory, log_lines: io.StringIO) -> None:
    served, key = served_by(memory.app), await key_of(memory)
    async with client(memory.app, key, served=served) as opened:
        body = {"content": f"{CANARY} content", "user_id": f"{CANARY}-user", "metadata": {"k": CANARY}}
        assert (await opened.post("/v1/memories", json=body)).status_code == 201
        assert (await opened.post("/v1/memories", json={**body, "kind": CANARY})).status_code == 422
        found = await opened.post("/v1/memories/search", json={"query": CANARY, "scope": {"user_id": f"{CANARY}-user"}})
        assert found.json()["hits"]
        await opened.get("/v1/memories", params={"user_id": f"{CANARY}-user"})
    text = served.metrics.text().decode()
    for told in (log_lines.getvalue(), text):
        assert CANARY not in told
        assert key not in told
        assert str(memory.app.caller.organization_id) not in told
    assert 'agentmem_http_requests_total{method="POST",route="/v1/memories",status="201"} 1.0' in text
    assert 'agentmem_problems_total{code="input_invalid"} 1.0' in text
    assert 'agentmem_http_request_seconds_count{route="/v1/memories/search"} 1.0' in text


async def test_refusing_limits_and_calls_of_the_model_are_counted(memory: AsyncMemory) -> None:
    metrics, key = Metrics(), await key_of(memory)
    settings = memory.app.settings.model_copy(update={"rate_limit_key": 20})
    async with open_app(settings, background=False, watchers=watching(metrics)) as app, client(app, key) as opened:
        await opened.post("/v1/memories", json={"content": "Ada likes tea.", "user_id": "ada"})
        question = {"query": uuid4().hex, "scope": {"user_id": "ada"}}
        answers = [await opened.post("/v1/memories/search", json=question) for _ in range(20)]

    text = metrics.text().decode()
    refused = sum(answer.status_code == 429 for answer in answers)
    assert refused > 0
    assert f'agentmem_rate_limited_total{{dimension="key"}} {refused}.0' in text
    assert 'agentmem_embedding_seconds_count{kind="documents"} 1.0' in text
    assert 'agentmem_embedding_seconds_count{kind="query"} 1.0' in text


async def test_metrics_are_for_operators(memory: AsyncMemory) -> None:
    async with client(memory.app, await key_of(memory)) as owner:
        assert (await owner.get("/metrics")).status_code == 403
    async with client(memory.app, await operator_key(memory.app)) as operator:
        answer = await operator.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert "agentmem_build_info" in answer.text


async def test_unknown_methods_and_paths_make_no_labels_of_their_own() -> None:
    toy = Toy()
    async with toy.client() as opened:
        for number in range(20):
            await opened.request(f"ODD{number}", f"/odd/{number}")
    text = toy.metrics.text().decode()
    assert 'method="other",route="unmatched",status="404"} 20.0' in text
    assert "ODD" not in text


async def test_fault_is_logged_by_its_kind_and_place_without_its_message(log_lines: io.StringIO) -> None:
    toy = Toy()
    async with toy.client() as opened:
        assert (await opened.get("/fail")).status_code == 500
    failed = next(line for line in parsed(log_lines) if line["event"] == "request_failed")
    assert failed["error"] == "RuntimeError"
    assert failed["route"] == "/fail"
    assert any("toys.py" in str(place) for place in failed["at"])  # type: ignore[attr-defined]
    assert SECRET not in log_lines.getvalue()


async def test_libraries_log_no_message_of_an_exception(log_lines: io.StringIO) -> None:
    forward_library_logs("debug")
    vendor = logging.getLogger("vendor")
    try:
        vendor.error("The call failed: %s", ValueError(CANARY))
        vendor.debug(f"sent {CANARY}")  # as libraries do
        try:
            int(CANARY)
        except ValueError:
            vendor.exception("It failed.")

        async def fails() -> None:
            raise ValueError(CANARY)

        task = asyncio.create_task(fails())
        await asyncio.sleep(0)
        del task
        gc.collect()
    finally:
        logging.basicConfig(level=logging.WARNING, force=True)
    said = [(line["event"], line.get("error")) for line in parsed(log_lines)]
    assert ("The call failed: %s", None) in said
    assert ("It failed.", "ValueError") in said
    assert ("Task exception was never retrieved", "ValueError") in said
    assert CANARY not in log_lines.getvalue()


async def test_answer_that_broke_off_is_not_told_as_one_that_came(log_lines: io.StringIO) -> None:
    toy = Toy()
    async with toy.client() as opened:
        with pytest.raises(AssertionError):  # the client's side insists on an end that never comes
            await opened.get("/cut")
    told = next(line for line in parsed(log_lines) if line["event"] == "request")
    assert (told["level"], told["status"], told["code"]) == ("warning", 200, "cut_off")
    assert 'agentmem_problems_total{code="cut_off"} 1.0' in toy.metrics.text().decode()


async def test_keys_in_log_lines_are_masked(log_lines: io.StringIO) -> None:
    key = f"amk_live_{'a' * 12}_{'b' * 49}"
    structlog.get_logger().warning("odd", said=f"Bearer {key} was refused", authorization=f"Bearer {key}")
    assert key not in log_lines.getvalue()
    assert "Bearer [REDACTED:secret:" in log_lines.getvalue()


async def test_traces_lead_through_add_and_search(memory: AsyncMemory, exporter: InMemorySpanExporter) -> None:
    key = await key_of(memory)
    async with client(memory.app, key) as opened:
        headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        await opened.post("/v1/memories", json={"content": CANARY, "user_id": CANARY}, headers=headers)
        await opened.post("/v1/memories/search", json={"query": CANARY, "scope": {"user_id": CANARY}}, headers=headers)
    spans = [span for span in exporter.get_finished_spans() if f"{span.context.trace_id:032x}" == TRACE]
    assert {span.name for span in spans} >= {
        "POST /v1/memories",
        "memory.add",
        "memory.add.embed",
        "memory.add.store",
        "POST /v1/memories/search",
        "memory.search",
        "memory.search.embed",
        "memory.search.find",
    }
    named = {span.name: span for span in spans}
    assert parent_of(named["memory.add"], spans) == "POST /v1/memories"
    assert parent_of(named["memory.search.find"], spans) == "memory.search"
    assert parent_of(named["memory.search.embed"], spans) == "memory.search"
    assert CANARY not in "".join(span.to_json() for span in spans)


async def test_spans_of_failed_requests_name_the_error_and_never_its_message(
    memory: AsyncMemory, exporter: InMemorySpanExporter
) -> None:
    user = f"{CANARY}@example.org"
    key = await key_of(memory, Role.MEMBER, binding=Scope(user_id="ada"))
    headers = {"traceparent": f"00-{FAILED_TRACE}-b7ad6b7169203331-01", "X-Request-ID": "mine-2"}
    async with client(memory.app, key) as opened:
        asked = {"query": CANARY, "scope": {"user_id": user}}
        denied = await opened.post("/v1/memories/search", json=asked, headers=headers)
        added = await opened.post("/v1/memories", json={"content": CANARY, "user_id": user}, headers=headers)
    assert (denied.status_code, added.status_code) == (403, 403)
    toy = Toy()
    async with toy.client() as opened:
        assert (await opened.get("/fail", headers=headers)).status_code == 500

    spans = [span for span in exporter.get_finished_spans() if f"{span.context.trace_id:032x}" == FAILED_TRACE]
    told = "".join(span.to_json() for span in spans)
    assert CANARY not in told
    assert SECRET not in told
    named = {span.name: span for span in spans}
    assert attribute(named["memory.search"], "error.type") == "permission_denied"
    assert attribute(named["POST /v1/memories/search"], "error.type") == "permission_denied"
    assert named["POST /v1/memories/search"].status.status_code is trace.StatusCode.UNSET
    assert named["GET /fail"].status.status_code is trace.StatusCode.ERROR
    assert attribute(named["GET /fail"], "agentmem.request_id") == "mine-2"


def attribute(span: ReadableSpan, name: str) -> object:
    """Read an attribute of a span."""
    return (span.attributes or {}).get(name)


async def test_client_that_leaves_in_the_middle_of_its_body_is_no_fault_of_the_server(log_lines: io.StringIO) -> None:
    toy = Toy()

    async def leaves() -> AsyncIterator[dict[str, object]]:
        yield {"type": "http.request", "body": b"half", "more_body": True}
        yield {"type": "http.disconnect"}

    parts = leaves()
    scope = {"type": "http", "method": "POST", "path": "/echo", "raw_path": b"/echo", "query_string": b""}
    headers = [(b"content-length", b"8")]

    async def send(_message: object) -> None: ...

    await toy.app(
        {**scope, "headers": headers, "client": ("127.0.0.1", 1), "http_version": "1.1"}, parts.__anext__, send
    )
    (line,) = parsed(log_lines)
    assert (line["event"], line["status"], line["code"]) == ("request", 408, "request_timeout")


def parent_of(span: ReadableSpan, spans: list[ReadableSpan]) -> str | None:
    """Name the span that a span is a part of."""
    assert span.parent is not None
    return next((other.name for other in spans if other.context.span_id == span.parent.span_id), None)


def test_breakers_and_retries_of_each_dependency_are_in_the_metrics() -> None:
    metrics = Metrics()
    guards = Guards.of(Settings.load(), metrics)
    metrics.breaker_changed("redis", BreakerState.OPEN)
    metrics.retried("embedder")
    text = metrics.text().decode()

    assert set(guards.states()) == {
        "database",
        "replica",
        "embedder",
        "redis",
        "reranker",
        "smtp",
        "key_provider",
        "key_database",
    }
    assert 'agentmem_breaker_state{dependency="database"} 0.0' in text
    assert 'agentmem_breaker_state{dependency="redis"} 2.0' in text
    assert 'agentmem_retries_total{dependency="embedder"} 1.0' in text
