"""``/metrics`` behind a permission, for servers that give it no port of its own."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from agentmem.entrypoints.api.access import access
from agentmem.entrypoints.api.gate import GatedRoute, served_of
from agentmem.foundation.telemetry.metrics import CONTENT_TYPE
from agentmem.schemas.access import Permission


def metrics_router() -> APIRouter:
    """Make the route of the metrics."""
    made = APIRouter(tags=["health"], route_class=GatedRoute, generate_unique_id_function=lambda route: route.name)
    made.add_api_route(
        "/metrics",
        metrics,
        methods=["GET"],
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
        openapi_extra=access(Permission.METRICS_READ),
    )
    return made


async def metrics(request: Request) -> Response:
    """Give the metrics of this server process, as Prometheus reads them."""
    return Response(served_of(request).metrics.text(), headers={"Content-Type": CONTENT_TYPE})
