"""Health: whether the process lives, and whether it can serve; asked without a key, and never limited."""

from __future__ import annotations

from typing import Any, Final, Literal

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from agentmem.entrypoints.api.matching import HEALTH, PERMISSION
from agentmem.entrypoints.api.serving import Served
from agentmem.errors import Fault, Unavailable
from agentmem.foundation.resilience.breaker import BreakerState
from agentmem.schemas.base import Schema

Status = Literal["ok", "degraded", "failed", "stopping"]


class Life(Schema):
    """The process runs."""

    status: Literal["ok"] = Field(default="ok", examples=["ok"])


class PartHealth(Schema):
    """One part that the server needs."""

    name: str = Field(examples=["database"])
    status: Literal["ok", "degraded", "failed"] = Field(examples=["ok"])
    problem: str | None = Field(default=None, description="Code of what is wrong.")


class Health(Schema):
    """How the server is."""

    status: Status = Field(examples=["ok"])
    parts: list[PartHealth]
    breakers: dict[str, BreakerState] = Field(
        description="For each dependency, whether it is asked: an open one failed too often and is left alone a while.",
        examples=[{"database": "closed", "redis": "open"}],
    )


_OPEN: Final[dict[str, Any]] = {PERMISSION: None}


def router() -> APIRouter:
    """Make the routes of health."""
    made = APIRouter(prefix=HEALTH, tags=["health"], generate_unique_id_function=lambda route: route.name)
    made.add_api_route("", health, methods=["GET"], response_model=Health, openapi_extra=_OPEN)
    made.add_api_route("/live", health_live, methods=["GET"], response_model=Life, openapi_extra=_OPEN)
    made.add_api_route("/ready", health_ready, methods=["GET"], response_model=Health, openapi_extra=_OPEN)
    return made


async def health(request: Request) -> Response:
    """Say how the server and each of its parts are; always 200, so that it can be read."""
    return _answer(await _look(request))


async def health_live() -> Response:
    """Say that the process runs, and nothing else."""
    return _answer(Life())


async def health_ready(request: Request) -> Response:
    """Say whether the server takes requests; 503 while it stops, or a part that it needs fails, and which."""
    found = await _look(request)
    if found.status == "stopping":
        raise Unavailable("The server is stopping.", faults=[Fault(field="server", message="stopping")])
    failed = [Fault(field=part.name, message=part.problem or "") for part in found.parts if part.status == "failed"]
    if failed:
        names = ", ".join(fault.field for fault in failed)
        raise Unavailable(f"The server cannot take requests: {names} failed.", faults=failed)
    return _answer(found)


async def _look(request: Request) -> Health:
    served = request.app.state.served
    if not isinstance(served, Served):
        raise TypeError("the application serves nothing")
    parts = [
        PartHealth(
            name=part.name,
            status="failed" if part.fails else "ok" if part.problem is None else "degraded",
            problem=part.problem,
        )
        for part in await served.readiness.check()
    ]
    return Health(status=_overall(served, parts), parts=parts, breakers=dict(served.app.guards.states()))


def _overall(served: Served, parts: list[PartHealth]) -> Status:
    if served.draining.begun:
        return "stopping"
    states = {part.status for part in parts}
    return "failed" if "failed" in states else "degraded" if "degraded" in states else "ok"


def _answer(value: Life | Health) -> Response:
    return Response(value.model_dump_json(exclude_none=True), media_type="application/json")
