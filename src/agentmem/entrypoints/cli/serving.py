"""``agentmem serve``, the whole platform in one process; and ``agentmem worker``, which does background jobs alone."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from agentmem.entrypoints.cli.session import invocation
from agentmem.errors import ConfigurationError
from agentmem.foundation.telemetry.logs import set_up_logs
from agentmem.settings import Settings

if TYPE_CHECKING:
    from agentmem.entrypoints.api.server import Announcement

    Serve = Callable[[Settings, Callable[[Announcement], None]], Coroutine[None, None, None]]
    Work = Callable[[Settings, Callable[[], None]], Coroutine[None, None, None]]


def serve_(
    context: typer.Context,
    *,
    host: Annotated[str | None, typer.Option("--host", metavar="ADDRESS", help="Where to listen.")] = None,
    port: Annotated[int | None, typer.Option("--port", metavar="N", help="Port; 0 for any free one.")] = None,
) -> None:
    """Serve the REST API; the first start prints the owner's key, once, in development."""
    given = {"host": host, "port": port}
    run = invocation(context)
    with run.guarded():
        settings = Settings.load(**run.given, **{name: value for name, value in given.items() if value is not None})
        set_up_logs(settings.log_level)
        serve: Serve = _part("agentmem.entrypoints.api.server").serve
        asyncio.run(serve(settings, lambda announcement: _announce(settings, announcement)))


def worker(context: typer.Context) -> None:
    """Do background jobs beside the servers of an installation, until it is stopped; needs a Redis that they share."""
    run = invocation(context)
    with run.guarded():
        settings = Settings.load(**run.given)
        set_up_logs(settings.log_level)
        work: Work = _part("agentmem.entrypoints.worker.process").work
        asyncio.run(work(settings, _announce_worker))


def _part(name: str) -> ModuleType:
    """Load a part of the server only when it is asked for: other commands start without it, and it may be missing."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"The server's parts are not installed: {error.name} is missing.",
            hint="Run: pip install 'agentmem[server]'",
        ) from None


def _announce_worker() -> None:
    sys.stdout.write("AgentMem works in the background; Ctrl+C stops it.\n")
    sys.stdout.flush()


def _announce(settings: Settings, announcement: Announcement) -> None:
    url = announcement.url
    where = str(settings.data_directory) if settings.database_url is None else "your PostgreSQL"
    lines = [f"AgentMem serves {url}", f"  memories are kept in {where}; Ctrl+C stops the server"]
    if settings.docs:
        lines.append(f"  the API is described at {url}/docs")
    if announcement.key is None:
        shown = "it was shown at the first start" if settings.environment == "development" else "it is not printed here"
        lines.append(f"  the owner's key: {shown}; `agentmem keys create NAME` makes one")
    else:
        lines += _first_steps(settings, url, announcement.key)
    sys.stdout.write("\n".join([*lines, ""]))
    sys.stdout.flush()


def _first_steps(settings: Settings, url: str, key: str) -> list[str]:
    scope = {"user_id": "alice"}
    return [
        "",
        f"The owner's API key of the organization {settings.organization!r}. It is shown only now: keep it.",
        "If it is lost, `agentmem keys create NAME` on this machine makes another.",
        "",
        f"  {key}",
        "",
        "Add a memory:",
        "",
        _curl(f"{url}/v1/memories", key, {"content": "Alice prefers green tea over coffee.", **scope}),
        "",
        "Search:",
        "",
        _curl(f"{url}/v1/memories/search", key, {"query": "What does Alice like to drink?", "scope": scope}),
        "",
    ]


def _curl(url: str, key: str, body: dict[str, object]) -> str:
    return (
        f"  curl -sS {url} \\\n    -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\\n"
        f"    -d '{json.dumps(body)}'"
    )
