"""``agentmem jobs`` and ``agentmem instances``: what goes on in the background, from the installation's own machine."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from agentmem.entrypoints.cli import options
from agentmem.entrypoints.cli.administering import Organization, acting_for, administer
from agentmem.entrypoints.cli.output import Column, Facts, Sheet, give
from agentmem.entrypoints.cli.views import clock
from agentmem.schemas.base import parse
from agentmem.schemas.instances import Instance
from agentmem.schemas.jobs import JobQuery, JobRecord, JobState

if TYPE_CHECKING:
    from agentmem.bootstrap import App

commands = typer.Typer(
    name="jobs", no_args_is_help=True, help="List background jobs, and retry or discard those that failed."
)

JobId = Annotated[UUID, typer.Argument(metavar="JOB_ID", help="Id of the job.")]


@commands.command(name="list")
def list_(
    context: typer.Context,
    *,
    organization: Organization = None,
    state: Annotated[JobState | None, typer.Option("--state", help="Only jobs in this state.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", metavar="KIND", help="Only jobs of this kind.")] = None,
    limit: options.Limit = 20,
    as_json: options.AsJson = False,
) -> None:
    """List the jobs of an organization, the newest first."""

    async def work(app: App) -> list[JobRecord]:
        query = parse(JobQuery, {"state": state, "kind": kind, "limit": limit})
        return (await app.jobs.page(acting_for(app, organization), query)).items

    found = administer(context, work)
    give(found, _sheet(found), as_json=as_json)


@commands.command()
def show(
    context: typer.Context, job_id: JobId, *, organization: Organization = None, as_json: options.AsJson = False
) -> None:
    """Show one job: how far it is, and why it failed if it did."""
    _one(context, lambda app: app.jobs.get(acting_for(app, organization), job_id), as_json=as_json)


@commands.command()
def retry(
    context: typer.Context, job_id: JobId, *, organization: Organization = None, as_json: options.AsJson = False
) -> None:
    """Have a job done again that failed or was discarded."""
    _one(context, lambda app: app.jobs.retry(acting_for(app, organization), job_id), as_json=as_json)


@commands.command()
def discard(
    context: typer.Context, job_id: JobId, *, organization: Organization = None, as_json: options.AsJson = False
) -> None:
    """Give a job up, whether it waits, runs or failed."""
    _one(context, lambda app: app.jobs.discard(acting_for(app, organization), job_id), as_json=as_json)


def instances(context: typer.Context, *, as_json: options.AsJson = False) -> None:
    """List the servers and workers of this installation, and which of them are alive."""

    async def work(app: App) -> Sequence[Instance]:
        return await app.instances.list(app.caller)

    found = administer(context, work)
    give(found, _instances(found), as_json=as_json)


def _one(context: typer.Context, work: Callable[[App], Coroutine[None, None, JobRecord]], *, as_json: bool) -> None:
    found = administer(context, work)
    give(found, _facts(found), as_json=as_json)


def _sheet(found: Sequence[JobRecord]) -> Sheet:
    return Sheet(
        columns=[
            Column(name="Id", style="green"),
            Column(name="Kind"),
            Column(name="State"),
            Column(name="Done", right=True),
            Column(name="Asked for (UTC)", style="cyan"),
            Column(name="Reason", grows=True),
        ],
        rows=[
            (str(job.id), job.kind, job.state.value, _done(job), clock(job.created_at), _reason(job)) for job in found
        ],
        nothing="No jobs.",
    )


def _facts(job: JobRecord) -> Facts:
    return Facts(
        pairs=[
            ("job", str(job.id)),
            ("kind", job.kind),
            ("state", job.state.value),
            ("done", _done(job)),
            ("attempts", str(job.attempts)),
            ("reason", _reason(job)),
            ("asked by", job.asked_by),
            ("asked for", clock(job.created_at)),
            ("ended", clock(job.finished_at)),
        ]
    )


def _done(job: JobRecord) -> str:
    if job.total is None:
        return f"{job.done:,}" if job.done else ""
    return f"{job.done:,} of {job.total:,}"


def _reason(job: JobRecord) -> str:
    return "" if job.reason is None else f"{job.reason.code}: {job.reason.message}"


def _instances(found: Sequence[Instance]) -> Sheet:
    return Sheet(
        columns=[
            Column(name="Id", style="green"),
            Column(name="Role"),
            Column(name="State"),
            Column(name="Version"),
            Column(name="Schema"),
            Column(name="Host", grows=True),
            Column(name="Address"),
            Column(name="Started (UTC)", style="cyan"),
        ],
        rows=[
            (
                str(one.id),
                one.role.value,
                "alive" if one.alive else "silent",
                one.version,
                one.schema_revision,
                one.host,
                one.address or "",
                clock(one.started_at),
            )
            for one in found
        ],
        nothing="No servers or workers.",
    )
