"""Commands that a deployment runs around the servers: the step before they start, and whether they are well."""

from __future__ import annotations

from dataclasses import asdict
from http.client import HTTPConnection, HTTPException
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Final

import typer

from agentmem.entrypoints.cli import options
from agentmem.entrypoints.cli.output import give
from agentmem.entrypoints.cli.session import invocation
from agentmem.errors import Unavailable
from agentmem.foundation.telemetry.logs import set_up_logs
from agentmem.settings import Settings

if TYPE_CHECKING:
    from agentmem.bootstrap.stores import SchemaChange

_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # compared, not listened on
_PATIENCE: Final = 5.0


def migrate(
    context: typer.Context,
    *,
    check: Annotated[
        bool, typer.Option("--check", metavar="", help="Change nothing; exit status 1 when there is something to do.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Bring the database's schema up to this version; servers of the version before go on meanwhile."""
    run = invocation(context)
    with run.guarded():
        settings = Settings.load(**run.given)
        set_up_logs(settings.log_level)
        # Loaded only here, so that help and completion load no database.
        done: SchemaChange = import_module("agentmem.bootstrap.stores").migrate_schema(settings, check=check)
        was = "as it was" if done.before == done.after else f"it was at {done.before or 'none'}"
        give(asdict(done), f"The schema is at revision {done.after}; {was}.", as_json=as_json)


def health(
    context: typer.Context,
    *,
    live: Annotated[
        bool, typer.Option("--live", metavar="", help="Ask whether it runs, not whether it takes requests.")
    ] = False,
) -> None:
    """Ask the server of these settings on this machine how it is; exit status 1 unless it is well."""
    run = invocation(context)
    with run.guarded():
        settings = Settings.load(**run.given)
        path = "/health/live" if live else "/health/ready"
        host = _EVERYWHERE.get(settings.host, settings.host)
        status, body = _ask(host, settings.port, path)
        if status != 200:
            raise Unavailable(f"{path} answered {status}.")
        give(body, body, as_json=False)


def _ask(host: str, port: int, path: str) -> tuple[int, str]:
    connection = HTTPConnection(host, port, timeout=_PATIENCE)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    except (OSError, HTTPException) as error:
        raise Unavailable(f"No server answers on {host}, port {port} ({type(error).__name__}).") from None
    finally:
        connection.close()
