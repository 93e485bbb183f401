"""Commands that look after a store."""

from __future__ import annotations

from typing import Annotated

import typer

from agentmem.entrypoints.cli import options, views
from agentmem.entrypoints.cli.output import give
from agentmem.entrypoints.cli.progress import progress
from agentmem.entrypoints.cli.session import FAILED, invocation


def info(context: typer.Context, *, as_json: options.AsJson = False) -> None:
    """Say what runs where: versions, folder, model, counts, sizes."""
    with invocation(context).opened() as memory:
        found = memory.info()
        give(found, views.info(found), as_json=as_json)


def doctor(
    context: typer.Context,
    *,
    repair: Annotated[
        bool, typer.Option("--repair", metavar="", help="Make again what can be made from what is stored.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Check the whole store; exit status 1 when something is wrong."""
    with invocation(context).opened() as memory:
        with progress("Checking", None) as done:
            report = memory.doctor(repair=repair, progress=done)
        give(report, views.health(report), as_json=as_json)
        if not report.healthy:
            raise typer.Exit(FAILED)


def vacuum(
    context: typer.Context,
    *,
    purge_after_days: Annotated[
        int | None,
        typer.Option(
            "--purge-after-days", metavar="N", help="Purge what was deleted so long ago; else as the settings say."
        ),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Purge what was deleted long ago, and free its space."""
    with invocation(context).opened() as memory:
        done = memory.vacuum(purge_after_days=purge_after_days)
        give(done, views.vacuumed(done), as_json=as_json)


def reembed(
    context: typer.Context,
    *,
    model: Annotated[
        str,
        typer.Option("--model", metavar="NAME", help="default, multilingual-e5-small, a folder, or openai:<model>."),
    ],
    as_json: options.AsJson = False,
) -> None:
    """Embed every memory by another model; searches go on meanwhile."""
    with invocation(context).opened() as memory:
        with progress("Embedding", memory.stats().versions) as done:
            changed = memory.reembed(model, progress=done)
        give(changed, f"{changed.embedded} embedded by {changed.model}.", as_json=as_json)
