"""The life of a server process: open everything, listen, and at the end stop without cutting anybody off."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import TypeVar

import structlog
import uvicorn

from agentmem.bootstrap import App, open_app
from agentmem.entrypoints.api.application import create_api
from agentmem.entrypoints.api.draining import Draining
from agentmem.entrypoints.api.protocol import HttpConfig
from agentmem.entrypoints.api.serving import Served
from agentmem.entrypoints.measured import listen, watching
from agentmem.errors import ConfigurationError, DeadlineExceeded, StateUnavailable
from agentmem.foundation.telemetry.export import export_traces
from agentmem.foundation.telemetry.logs import forward_library_logs
from agentmem.foundation.telemetry.metrics import Metrics
from agentmem.pipelines.admission.first_start import first_key
from agentmem.pipelines.health.readiness import Readiness
from agentmem.schemas.instances import InstanceRole
from agentmem.settings import Settings

Result = TypeVar("Result")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Announcement:
    """What is said when the server listens: its address, and on the very first start the owner's key."""

    url: str
    key: str | None = field(repr=False)


class DrainingServer(uvicorn.Server):
    """uvicorn's server, but a first SIGTERM lets balancers see that it is going before it stops listening.

    A second one stops it at once, and so does Ctrl+C, for nobody is balancing then.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        draining: Draining,
        drain_seconds: float,
        listening: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(config)
        self._draining = draining
        self._drain_seconds = drain_seconds
        self._listening = listening
        self._loop = asyncio.get_running_loop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, and say so."""
        await super().startup(sockets)
        await self._listening()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # the signature is Python's
        """Begin to stop; not noted in uvicorn's list of signals, so that the process ends with status 0."""
        first, self._draining.begun = not self._draining.begun, True
        delay = self._drain_seconds if first and sig == signal.SIGTERM else 0.0
        if self.should_exit:
            self.force_exit = True
        # The signal came between any two instructions; the loop may be asleep.
        self._loop.call_soon_threadsafe(self._stop_after, delay)

    def _stop_after(self, seconds: float) -> None:
        log.info("stopping", drain_seconds=seconds, in_flight=self._draining.in_flight)
        self._loop.call_later(seconds, self._stop)

    def _stop(self) -> None:
        self.should_exit = True


async def serve(settings: Settings, announce: Callable[[Announcement], None]) -> None:
    """Serve until a signal says stop; ``announce`` is called once the server listens.

    Raises :class:`ConfigurationError` when the address cannot be had, or another server uses the database without
    sharing its state.
    """
    forward_library_logs(settings.log_level)
    metrics, draining = Metrics(), Draining()
    async with AsyncExitStack() as stack:
        listener = _bind(settings)
        stack.callback(listener.close)
        if settings.otlp_endpoint is not None:
            stack.push_async_callback(asyncio.to_thread, export_traces(settings.otlp_endpoint))
        app = await stack.enter_async_context(open_app(settings, background=False, watchers=watching(metrics)))
        await app.accounts.found()
        await stack.enter_async_context(app.platform.caretaker.serving(shared=settings.redis_url is not None))
        await stack.enter_async_context(app.instances.present(InstanceRole.SERVER, _url(listener)))
        # Before the first request is taken: a denied address is not let in until the lists are read.
        await app.admission.installation.refresh()
        with suppress(StateUnavailable, DeadlineExceeded):  # then whoever is asked first finds out
            await app.signatures.remembers_since()
        _work_behind(stack, app)
        if settings.metrics_port is not None:
            end = listen(metrics, settings.metrics_host, settings.metrics_port)
            stack.push_async_callback(asyncio.to_thread, end)
        served = serving(app, metrics, draining)

        async def listening() -> None:
            # Made last, and shown at once: what fails after it would lose it, for it is made once. Elsewhere than
            # in development what is printed is collected and kept, which is no place for a key.
            printed = settings.environment == "development"
            issued = await first_key(app.issuing, app.caller) if printed else None
            announce(Announcement(url=_url(listener), key=None if issued is None else issued.key))

        server = DrainingServer(
            HttpConfig(create_api(served), settings),
            draining=draining,
            drain_seconds=settings.drain_seconds,
            listening=listening,
        )
        await server.serve(sockets=[listener])


def serving(app: App, metrics: Metrics, draining: Draining) -> Served:
    """Put together what the server works with."""
    return Served(
        app=app,
        admission=app.admission,
        metrics=metrics,
        idempotency=app.requests,
        draining=draining,
        readiness=Readiness.over(app.database, app.models, app.state),
    )


def _bind(settings: Settings) -> socket.socket:
    """Take the address before anything is opened: a second server on it must not start a database first."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Named as TCP: only then asyncio sends each answer at once (TCP_NODELAY), and not 40 ms later.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except (OSError, UnicodeError) as error:
        listener.close()
        raise ConfigurationError(
            f"The server cannot listen on {settings.host}, port {settings.port}: {error.args[-1]}.",
            hint="Another server may run there; set AGENTMEM_PORT to a free one.",
        ) from None
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"http://{host}:{port}"


def _work_behind(stack: AsyncExitStack, app: App) -> None:
    """Start what goes on behind the requests; it ends with the stack."""
    for name, work in (
        ("revocations", app.admission.follow_revocations()),
        ("networks", app.admission.installation.keep_fresh()),
        ("ends of sessions", app.admission.follow_ends()),
        ("ends of accounts", app.admission.follow_accounts()),
        ("usage", app.admission.meter.keep_flushing()),
        ("forgetting", app.sweeper.keep_forgetting()),
        ("relay", app.events.relay.run()),
        *((("jobs", app.worker.run()),) if app.settings.run_jobs else ()),
    ):
        task = asyncio.create_task(_told(name, work), name=name)
        stack.push_async_callback(_ended, task)


async def _told(name: str, work: Coroutine[None, None, None]) -> None:
    try:
        await work
    except Exception as fault:  # noqa: BLE001  # the requests go on without it
        log.error("background_work_failed", work=name, error=type(fault).__name__)  # noqa: TRY400  # no content in logs


async def _ended(task: asyncio.Task[Result]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
