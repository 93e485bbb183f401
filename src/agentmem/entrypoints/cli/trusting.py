"""Commands about how far memories are trusted."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from agentmem.entrypoints.cli import options, views
from agentmem.entrypoints.cli.output import Facts, counted, give
from agentmem.entrypoints.cli.session import invocation
from agentmem.schemas.keywords import TaintKeywords
from agentmem.schemas.memories import Origin
from agentmem.schemas.provenance import Undone

Authority = Annotated[Origin, typer.Option("--authority", help="How far it is trusted from now on.")]
Moment = Annotated[
    datetime, typer.Argument(metavar="TIME", parser=options.moment, help="The moment to go back to, in RFC 3339.")
]
Do = Annotated[bool, typer.Option("--do", metavar="", help="Do it; else only say what it would change.")]


def provenance(context: typer.Context, memory_id: options.MemoryId, *, as_json: options.AsJson = False) -> None:
    """Say who wrote a memory, with what and from what."""
    with invocation(context).opened() as memory:
        found = memory.provenance(memory_id)
        facts = [(name, str(value)) for name, value in found.model_dump(mode="json").items() if value]
        give(found, Facts(pairs=facts), as_json=as_json)


def promote(
    context: typer.Context,
    memory_id: options.MemoryId,
    *,
    authority: Authority = Origin.USER,
    as_json: options.AsJson = False,
) -> None:
    """Trust a memory further than before."""
    with invocation(context).opened() as memory:
        promoted = memory.promote(memory_id, authority)
        give(promoted, views.facts(promoted), as_json=as_json)


def taint(
    context: typer.Context,
    *,
    origin: Annotated[Origin | None, typer.Option("--origin", help="Of this origin.")] = None,
    actor: Annotated[str | None, typer.Option("--actor", metavar="NAME", help="Said by this principal.")] = None,
    api_key: Annotated[str | None, typer.Option("--api-key", metavar="ID", help="Added with this key.")] = None,
    since: Annotated[
        datetime | None, typer.Option("--since", metavar="TIME", parser=options.moment, help="Said then or later.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--until", metavar="TIME", parser=options.moment, help="Said before then.")
    ] = None,
    do: Do = False,
    as_json: options.AsJson = False,
) -> None:
    """Take what is no longer believed, and what was derived from it, out of every read."""
    given = {"origin": origin, "actor": actor, "api_key": api_key, "since": since, "until": until}
    named = TaintKeywords(**{name: value for name, value in given.items() if value is not None})  # type: ignore[typeddict-item]
    with invocation(context).opened() as memory:
        _tell(memory.taint(dry_run=not do, **named), "tainted", as_json=as_json)


def rollback(
    context: typer.Context,
    to: Moment,
    *,
    user: options.User = None,
    agent: options.Agent = None,
    run: options.Run = None,
    app: options.App = None,
    do: Do = False,
    as_json: options.AsJson = False,
) -> None:
    """Take memories back to what they were at a moment."""
    with invocation(context).opened() as memory:
        undone = memory.rollback(to, dry_run=not do, **options.scope(user, agent, run, app))
        _tell(undone, "taken back", as_json=as_json)


def _tell(undone: Undone, what: str, *, as_json: bool) -> None:
    number = counted(undone.memories, "memory", "memories")
    told = f"{number} would be {what}; say --do to do it." if undone.dry_run else f"{number} {what}."
    give(undone, told, as_json=as_json)
