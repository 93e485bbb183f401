"""The life of a worker process: open everything, do jobs, and at a signal end what runs and nothing more."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack

import structlog

from agentmem.bootstrap import open_app
from agentmem.entrypoints.measured import listen, watching
from agentmem.foundation.telemetry.export import export_traces
from agentmem.foundation.telemetry.logs import forward_library_logs
from agentmem.foundation.telemetry.metrics import Metrics
from agentmem.schemas.instances import InstanceRole
from agentmem.settings import Settings

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
log = structlog.get_logger(__name__)


async def work(settings: Settings, announce: Callable[[], None]) -> None:
    """Do background jobs until a signal says stop; ``announce`` is called once it has begun.

    Raises :class:`ConfigurationError` when a server or worker is there that does not share its state.
    """
    forward_library_logs(settings.log_level)
    metrics, stopped = Metrics(), asyncio.Event()
    async with AsyncExitStack() as stack:
        if settings.otlp_endpoint is not None:
            stack.push_async_callback(asyncio.to_thread, export_traces(settings.otlp_endpoint))
        app = await stack.enter_async_context(open_app(settings, background=False, watchers=watching(metrics)))
        await stack.enter_async_context(app.platform.caretaker.serving(shared=settings.redis_url is not None))
        if settings.metrics_port is not None:
            end = listen(metrics, settings.metrics_host, settings.metrics_port)
            stack.push_async_callback(asyncio.to_thread, end)
        await stack.enter_async_context(app.instances.present(InstanceRole.WORKER))
        _stop_at_a_signal(stopped)
        duties = (app.worker.run(), app.sweeper.keep_forgetting(), app.events.relay.run())
        tasks = [asyncio.create_task(duty) for duty in duties]
        announce()
        await stopped.wait()
        log.info("stopping", seconds=settings.shutdown_seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _stop_at_a_signal(stopped: asyncio.Event) -> None:
    """Take the first signal as a wish, and the second for what it is."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stopped.set()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
