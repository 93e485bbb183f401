"""``agentmem audit``: read, export and verify the audit trail, from the installation's own machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from agentmem.entrypoints.cli import options
from agentmem.entrypoints.cli.administering import Organization, acting_for, administer
from agentmem.entrypoints.cli.output import Column, Facts, Sheet, emit_text, give
from agentmem.entrypoints.cli.views import clock
from agentmem.features.audit.formats import line_of
from agentmem.schemas.audit import AuditEntry, AuditFormat, AuditQuery, AuditVerification
from agentmem.schemas.base import parse
from agentmem.schemas.queries import AuditHeadQuery

if TYPE_CHECKING:
    from agentmem.bootstrap import App

commands = typer.Typer(name="audit", no_args_is_help=True, help="Read, export and verify the audit trail.")
_AT_ONCE = 1000


@commands.command(name="list")
def list_(
    context: typer.Context,
    *,
    organization: Organization = None,
    actor: Annotated[str | None, typer.Option("--actor", metavar="NAME", help="Only what this principal did.")] = None,
    action: Annotated[str | None, typer.Option("--action", metavar="NAME", help="Only this action.")] = None,
    limit: options.Limit = 20,
    as_json: options.AsJson = False,
) -> None:
    """List entries of the audit trail, the oldest first."""

    async def work(app: App) -> list[AuditEntry]:
        query = parse(AuditQuery, {"actor": actor, "action": action, "limit": limit})
        return (await app.audit.page(acting_for(app, organization), query)).items

    found = administer(context, work)
    give(found, _sheet(found), as_json=as_json)


@commands.command()
def export(
    context: typer.Context,
    *,
    organization: Organization = None,
    form: Annotated[AuditFormat, typer.Option("--format", help="How an entry is written.")] = AuditFormat.JSONL,
) -> None:
    """Write the whole audit trail, an entry a line."""

    async def work(app: App) -> None:
        caller, after = acting_for(app, organization), None
        while entries := await app.audit.read(caller, after, _AT_ONCE):
            emit_text("\n".join(line_of(entry, caller.organization_id, form) for entry in entries))
            after = entries[-1].id

    administer(context, work)


@commands.command()
def verify(
    context: typer.Context,
    *,
    organization: Organization = None,
    seal: Annotated[
        int | None, typer.Option("--seal", metavar="N", help="Number of the newest seal that was seen earlier.")
    ] = None,
    digest: Annotated[str | None, typer.Option("--digest", metavar="HEX", help="Its digest.")] = None,
    as_json: options.AsJson = False,
) -> None:
    """Check that nothing in the audit trail was changed, removed or put in; exit status 1 if something was."""

    async def work(app: App) -> AuditVerification:
        head = parse(AuditHeadQuery, {"seal": seal, "digest": digest}).head
        return await app.audit.verify(acting_for(app, organization), head)

    verified = administer(context, work)
    give(verified, _facts(verified), as_json=as_json)
    if not verified.whole:
        raise typer.Exit(1)


def _sheet(found: list[AuditEntry]) -> Sheet:
    columns = [Column(name=name) for name in ("at", "actor", "action", "outcome", "targets")]
    rows = [[clock(entry.at), entry.actor, entry.action, entry.outcome, _named(entry.targets)] for entry in found]
    return Sheet(columns=columns, rows=rows, nothing="There is no such entry.")


def _named(targets: list[UUID]) -> str:
    more = f" and {len(targets) - 1} more" if len(targets) > 1 else ""
    return f"{targets[0]}{more}" if targets else ""


def _facts(verified: AuditVerification) -> Facts:
    head = verified.head
    pairs = [
        ("whole", "yes" if verified.whole else "NO"),
        ("seals", str(verified.seals)),
        ("entries", str(verified.entries)),
        ("unsealed", str(verified.unsealed)),
        ("head", "none" if head is None else f"--seal {head.seal} --digest {head.digest}"),
    ]
    told = [(f"seal {problem.seal}", f"{problem.problem} {problem.entry_id or ''}") for problem in verified.problems]
    return Facts(pairs=[*pairs, *told])
