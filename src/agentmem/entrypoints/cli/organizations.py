"""``agentmem organizations``: the organizations of an installation, from its own machine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from agentmem.entrypoints.cli import options
from agentmem.entrypoints.cli.administering import administer
from agentmem.entrypoints.cli.output import Column, Facts, Sheet, give
from agentmem.entrypoints.cli.views import clock, size
from agentmem.errors import Conflict
from agentmem.features.organizations.model import founding_caller
from agentmem.kit.ids import OrganizationId
from agentmem.schemas.base import parse
from agentmem.schemas.keys import NewApiKey
from agentmem.schemas.organizations import (
    DeletionRequest,
    NewOrganization,
    Organization,
    OrganizationLimits,
    Suspension,
)
from agentmem.schemas.views import CreatedOrganization

if TYPE_CHECKING:
    from agentmem.bootstrap import App

organizations = typer.Typer(
    name="organizations", no_args_is_help=True, help="Create, list, limit, suspend and delete organizations."
)

_FIRST_KEY = "first key"
_PAGE = 1000

Id = Annotated[UUID, typer.Argument(metavar="ORGANIZATION", help="Id of the organization.")]
Memories = Annotated[int | None, typer.Option("--memories", metavar="N", help="Most memories; else unlimited.")]
StorageBytes = Annotated[
    int | None, typer.Option("--storage-bytes", metavar="N", help="Most bytes of content; else unlimited.")
]
RequestsPerMinute = Annotated[
    int | None, typer.Option("--requests-per-minute", metavar="N", help="A rate limit of its own; else the server's.")
]


@organizations.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the organization is called.")],
    *,
    memories: Memories = None,
    storage_bytes: StorageBytes = None,
    requests_per_minute: RequestsPerMinute = None,
    as_json: options.AsJson = False,
) -> None:
    """Create an organization with its owner, whose first API key is shown this once."""

    async def work(app: App) -> CreatedOrganization:
        limits = {"memories": memories, "storage_bytes": storage_bytes, "requests_per_minute": requests_per_minute}
        made = await app.platform.create(app.caller, parse(NewOrganization, {"name": name, "limits": limits}))
        target = founding_caller(replace(app.caller, organization_id=OrganizationId(made.id)))
        issued = await app.issuing.first(target, NewApiKey(name=_FIRST_KEY))
        if issued is None:
            raise Conflict("The organization has had its first key.")
        return CreatedOrganization(organization=made, key=issued.key, api_key=issued.api_key)

    created = administer(context, work)
    give(created, _created(created), as_json=as_json)


@organizations.command(name="list")
def list_(context: typer.Context, *, as_json: options.AsJson = False) -> None:
    """List all organizations."""

    async def work(app: App) -> list[Organization]:
        found, cursor = list[Organization](), None
        while True:
            page = await app.platform.list(app.caller, cursor, _PAGE)
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                return found

    every = administer(context, work)
    give(every, _sheet(every), as_json=as_json)


@organizations.command()
def limits(
    context: typer.Context,
    organization: Id,
    *,
    memories: Memories = None,
    storage_bytes: StorageBytes = None,
    requests_per_minute: RequestsPerMinute = None,
    as_json: options.AsJson = False,
) -> None:
    """Set what an organization may use; what is not given is unlimited."""

    async def work(app: App) -> Organization:
        given = {"memories": memories, "storage_bytes": storage_bytes, "requests_per_minute": requests_per_minute}
        allowed = parse(OrganizationLimits, given)
        return await app.platform.set_limits(app.caller, OrganizationId(organization), allowed)

    _tell(administer(context, work), as_json=as_json)


@organizations.command()
def suspend(
    context: typer.Context,
    organization: Id,
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept with the organization.")],
    as_json: options.AsJson = False,
) -> None:
    """Take an organization out of use; a running server refuses its keys within a second."""

    async def work(app: App) -> Organization:
        asked = parse(Suspension, {"reason": reason})
        return await app.platform.suspend(app.caller, OrganizationId(organization), asked.reason)

    _tell(administer(context, work), as_json=as_json)


@organizations.command()
def resume(context: typer.Context, organization: Id, *, as_json: options.AsJson = False) -> None:
    """Put a suspended organization back into use."""

    async def work(app: App) -> Organization:
        return await app.platform.resume(app.caller, OrganizationId(organization))

    _tell(administer(context, work), as_json=as_json)


@organizations.command()
def delete(
    context: typer.Context,
    organization: Id,
    *,
    grace_days: Annotated[
        int | None, typer.Option("--grace-days", metavar="N", help="Days until it is erased; else as the settings say.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Take an organization out of use now, and erase it after a grace; a running server erases it."""

    async def work(app: App) -> Organization:
        asked = parse(DeletionRequest, {"grace_days": grace_days}).grace_days
        days = app.settings.deletion_grace_days if asked is None else asked
        return await app.platform.delete(app.caller, OrganizationId(organization), days)

    _tell(administer(context, work), as_json=as_json)


@organizations.command()
def restore(context: typer.Context, organization: Id, *, as_json: options.AsJson = False) -> None:
    """Take back the deletion of an organization while its grace lasts."""

    async def work(app: App) -> Organization:
        return await app.platform.restore(app.caller, OrganizationId(organization))

    _tell(administer(context, work), as_json=as_json)


def _tell(changed: Organization, *, as_json: bool) -> None:
    give(changed, _sheet([changed]), as_json=as_json)


def _created(created: CreatedOrganization) -> Facts:
    return Facts(
        pairs=[
            ("organization", str(created.organization.id)),
            ("name", created.organization.name),
            ("API key", created.key or ""),
            ("", "It is shown only now."),
            ("expires", clock(created.api_key.expires_at)),
        ]
    )


def _sheet(found: list[Organization]) -> Sheet:
    return Sheet(
        columns=[
            Column(name="Id", style="green"),
            Column(name="Name", grows=True),
            Column(name="State"),
            Column(name="Erased after (UTC)", style="cyan"),
            Column(name="Memories", right=True),
            Column(name="Storage", right=True),
            Column(name="Requests/min", right=True),
        ],
        rows=[
            (
                str(one.id),
                one.name,
                one.status.value if one.status_reason is None else f"{one.status.value}: {one.status_reason}",
                clock(one.purge_after),
                _limit(one.limits.memories),
                "" if one.limits.storage_bytes is None else size(one.limits.storage_bytes),
                _limit(one.limits.requests_per_minute),
            )
            for one in found
        ],
        nothing="No organizations.",
    )


def _limit(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
