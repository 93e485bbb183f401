"""``agentmem invitations``: who may join an organization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from agentmem.entrypoints.cli import options
from agentmem.entrypoints.cli.administering import Organization, acting_for, administer
from agentmem.entrypoints.cli.output import Column, Sheet, give
from agentmem.entrypoints.cli.views import clock
from agentmem.schemas.access import Role
from agentmem.schemas.base import parse
from agentmem.schemas.invitations import Invitation, NewInvitation

if TYPE_CHECKING:
    from agentmem.bootstrap import App

invitations = typer.Typer(
    name="invitations", no_args_is_help=True, help="Invite people to an organization, and take invitations back."
)
_MOST = 1000


@invitations.command()
def create(
    context: typer.Context,
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="To whom it is sent.")],
    *,
    role: Annotated[Role, typer.Option("--role", metavar="ROLE", help="What they become.")] = Role.MEMBER,
    organization: Organization = None,
    as_json: options.AsJson = False,
) -> None:
    """Invite a person by a mail."""

    async def work(app: App) -> Invitation:
        new = parse(NewInvitation, {"email": email, "role": role})
        return await app.accounts.registering.invite(acting_for(app, organization), new.email, new.role)

    made = administer(context, work)
    give(
        made, f"The invitation {made.id} is sent, and can be accepted until {clock(made.expires_at)}.", as_json=as_json
    )


@invitations.command(name="list")
def list_(context: typer.Context, *, organization: Organization = None, as_json: options.AsJson = False) -> None:
    """List the oldest invitations that nobody has accepted yet, up to 1,000."""

    async def work(app: App) -> list[Invitation]:
        return (await app.accounts.invitations.page(acting_for(app, organization), None, _MOST)).items

    found = administer(context, work)
    give(found, _sheet(found), as_json=as_json)


@invitations.command()
def revoke(
    context: typer.Context,
    invitation: Annotated[UUID, typer.Argument(metavar="INVITATION", help="Id of the invitation.")],
    *,
    organization: Organization = None,
) -> None:
    """Take an invitation back."""

    async def work(app: App) -> None:
        await app.accounts.invitations.revoke(acting_for(app, organization), invitation)

    administer(context, work)
    give(None, f"The invitation {invitation} is taken back.", as_json=False)


def _sheet(found: list[Invitation]) -> Sheet:
    return Sheet(
        columns=[
            Column(name="Id", style="green"),
            Column(name="E-mail", grows=True),
            Column(name="Role"),
            Column(name="Until (UTC)", style="cyan"),
        ],
        rows=[(str(one.id), one.email, one.role.value, clock(one.expires_at)) for one in found],
        nothing="No invitations.",
    )
