"""``agentmem privacy``: what is done about a person, from the installation's own machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from agentmem.entrypoints.cli import options
from agentmem.entrypoints.cli.administering import Organization, acting_for, administer
from agentmem.entrypoints.cli.output import Column, Facts, Sheet, emit_text, give, say
from agentmem.entrypoints.cli.views import clock
from agentmem.schemas.privacy import Erasure, SubjectMarks, SubjectState
from agentmem.schemas.retention import RetentionReport

if TYPE_CHECKING:
    from agentmem.bootstrap import App

commands = typer.Typer(
    name="privacy", no_args_is_help=True, help="Export, erase, hold or restrict what is stored of a user."
)

User = Annotated[str, typer.Argument(metavar="USER_ID", help="Id of the user.")]


@commands.command()
def erase(
    context: typer.Context, user_id: User, *, organization: Organization = None, as_json: options.AsJson = False
) -> None:
    """Have everything about a user removed and their key destroyed, by whichever server or worker runs."""

    async def work(app: App) -> Erasure:
        return await app.custody.privacy.erase(acting_for(app, organization), user_id)

    _erasure(administer(context, work), as_json=as_json)


@commands.command()
def certificate(
    context: typer.Context,
    erasure_id: Annotated[UUID, typer.Argument(metavar="ERASURE_ID", help="Id of the erasure.")],
    *,
    organization: Organization = None,
    as_json: options.AsJson = False,
) -> None:
    """Show how far an erasure is, and what it removed."""

    async def work(app: App) -> Erasure:
        return await app.custody.privacy.certificate(acting_for(app, organization), erasure_id)

    _erasure(administer(context, work), as_json=as_json)


@commands.command()
def export(
    context: typer.Context,
    user_id: User,
    *,
    organization: Organization = None,
    as_json: Annotated[  # noqa: ARG001  # every command has it
        bool, typer.Option("--json", metavar="", help="Changes nothing: an export is JSON lines.")
    ] = False,
) -> None:
    """Write everything that is stored about a user as JSON lines: memories, origins, what was done with them."""

    async def work(app: App) -> None:
        caller = acting_for(app, organization)
        async for line in app.disclosure.lines(caller, app.custody.exports.lines(caller, user_id)):
            emit_text(line)

    administer(context, work)


@commands.command()
def mark(
    context: typer.Context,
    user_id: User,
    *,
    held: Annotated[bool, typer.Option("--held", metavar="", help="Not to be erased: a legal hold.")] = False,
    restricted: Annotated[
        bool, typer.Option("--restricted", metavar="", help="Kept, and neither read nor changed.")
    ] = False,
    organization: Organization = None,
    as_json: options.AsJson = False,
) -> None:
    """Say what holds for a user; what is not named ends."""
    marks = SubjectMarks(user_id=user_id, held=held, restricted=restricted)

    async def work(app: App) -> SubjectState:
        return await app.custody.privacy.mark(acting_for(app, organization), marks)

    done = administer(context, work)
    pairs = [("user", user_id), ("held", str(done.held).lower()), ("restricted", str(done.restricted).lower())]
    give(done, Facts(pairs=pairs), as_json=as_json)


@commands.command()
def retention(
    context: typer.Context,
    *,
    do: Annotated[
        bool, typer.Option("--do", metavar="", help="Have a job remove it; else it is only counted.")
    ] = False,
    organization: Organization = None,
    as_json: options.AsJson = False,
) -> None:
    """Say what the rules of the policy `retention` would remove now, or have it removed."""

    async def work(app: App) -> RetentionReport:
        return await app.custody.retention.report(acting_for(app, organization), dry_run=not do)

    found = administer(context, work)
    give(found, _retention(found), as_json=as_json)


@commands.command()
def rewrite(context: typer.Context) -> None:
    """Write the tables anew now, so that no bytes of what was erased are left; who uses them waits meanwhile."""

    async def work(app: App) -> None:
        await app.custody.privacy.rewrite()

    administer(context, work)
    say("The tables are written anew.")


def _retention(found: RetentionReport) -> Sheet:
    return Sheet(
        columns=[
            Column(name="Days", right=True),
            Column(name="Kind"),
            Column(name="Scope", grows=True),
            Column(name="Would go" if found.job_id is None else "Go", right=True),
            Column(name="Held or restricted", right=True),
        ],
        rows=[
            (
                f"{one.rule.days:,}",
                "any" if one.rule.kind is None else one.rule.kind.value,
                ", ".join(f"{name} {value}" for name, value in one.rule.scope.model_dump(exclude_none=True).items()),
                f"{one.memories:,}",
                f"{one.kept:,}",
            )
            for one in found.rules
        ],
        nothing='No rules: agentmem policies set retention \'{"rules": [{"days": 90, "kind": "working"}]}\'',
    )


def _erasure(found: Erasure, *, as_json: bool) -> None:
    pairs = [
        ("erasure", str(found.id)),
        ("asked for", clock(found.requested_at)),
        ("finished", clock(found.finished_at)),
        ("removed", ", ".join(f"{number:,} {name}" for name, number in found.removed.items())),
        ("rewritten", clock(found.rewritten_at)),
    ]
    give(found, Facts(pairs=pairs), as_json=as_json)
