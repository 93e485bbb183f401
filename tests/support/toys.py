"""The server's layers around a few routes that do what a test needs: answer, fail, take long, stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from agentmem.entrypoints.api import problems
from agentmem.entrypoints.api.application import surround
from agentmem.entrypoints.api.bodies import BodyLimit
from agentmem.entrypoints.api.draining import Draining
from agentmem.errors import AgentMemError, NotFound
from agentmem.foundation.state.charging import require_allowed
from agentmem.foundation.state.memory import MemoryState
from agentmem.foundation.state.port import Admission
from agentmem.foundation.telemetry.metrics import Metrics
from agentmem.kit.networks import Address
from agentmem.pipelines.admission.quotas import RateLimits
from agentmem.settings import Settings

OPEN: dict[str, str | float | None] = {"x-agentmem-permission": None}
SECRET = "hunter2-in-a-message"


RETRY_AFTER = 7


def errors_of_ours() -> list[type[AgentMemError]]:
    """Give every class of errors."""
    found, new = [AgentMemError], [AgentMemError]
    while new:
        new = [error for parent in new for error in parent.__subclasses__()]
        found += new
    return found


class Toy:
    """A server of toy routes; ``gate`` holds the requests of ``/wait`` until it is set."""

    def __init__(self, **settings: object) -> None:
        self.settings = Settings.load(**settings)
        self.metrics = Metrics()
        self.draining = Draining()
        self.state = MemoryState()
        self.gate = asyncio.Event()
        self.waiting = 0
        self.api = FastAPI(
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
            redirect_slashes=False,
            telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        )
        problems.install(self.api)
        add = self.api.add_api_route
        add("/echo", self.echo, methods=["POST"], openapi_extra=OPEN)
        add("/large", self.echo, methods=["POST"], openapi_extra={**OPEN, "x-agentmem-body": BodyLimit.UNBOUNDED.value})
        add("/fail", self.fail, methods=["GET"], openapi_extra=OPEN)
        add("/error/{code}", self.error, methods=["GET"], openapi_extra=OPEN)
        add("/missing/{name}", self.missing, methods=["GET"], openapi_extra=OPEN)
        add("/wait", self.wait, methods=["GET"], openapi_extra=OPEN)
        add("/health/live", self.live, methods=["GET"], openapi_extra=OPEN)
        add("/cut", self.cut, methods=["GET"], openapi_extra=OPEN)
        add("/forever", self.wait, methods=["GET"], openapi_extra={**OPEN, "x-agentmem-timeout": None})
        self.app: ASGIApp = surround(self.api, self.settings, self.metrics, self.draining, self.charge)

    async def charge(self, address: Address, cost: int) -> Admission:
        """Charge a request to its address, by the limit that the settings name."""
        quotas = RateLimits.of(self.settings).of_address(address)
        return require_allowed(await self.state.take("toy", quotas, cost))

    async def echo(self, request: Request) -> Response:
        """Say how long the body is."""
        return PlainTextResponse(str(len(await request.body())))

    async def fail(self) -> Response:
        """Fail as a fault of the program does."""
        raise RuntimeError(SECRET)

    async def error(self, code: str) -> Response:
        """Raise the error of this code."""
        raise next(error for error in errors_of_ours() if error.code == code)("It is so.", retry_after=RETRY_AFTER)

    async def missing(self, name: str) -> Response:
        """Say that there is no such thing."""
        raise NotFound("There is no such thing.")

    async def live(self) -> Response:
        """Live."""
        return PlainTextResponse("alive")

    async def wait(self) -> Response:
        """Answer when the gate opens."""
        self.waiting += 1
        await self.gate.wait()
        return PlainTextResponse("done")

    async def cut(self) -> Response:
        """Begin an answer and break off."""

        async def parts() -> AsyncIterator[bytes]:
            yield b"begun"
            raise RuntimeError(SECRET)

        return StreamingResponse(parts())

    @asynccontextmanager
    async def client(self, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
        """Give a client of it."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://toy.test", headers=headers) as opened:
            yield opened
