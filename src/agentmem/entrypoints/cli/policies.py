"""``agentmem policies``: what an organization asks of those who sign in to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agentmem.entrypoints.cli import options
from agentmem.entrypoints.cli.administering import Organization, acting_for, administer
from agentmem.entrypoints.cli.output import Facts, give
from agentmem.schemas.base import parse
from agentmem.schemas.policies import NewPolicy, PolicyInForce, PolicyKind

if TYPE_CHECKING:
    from agentmem.bootstrap import App

commands = typer.Typer(
    name="policies", no_args_is_help=True, help="Show and set what an organization asks of those who sign in."
)
Kind = Annotated[PolicyKind, typer.Argument(metavar="KIND", help="What the policy is about.")]


@commands.command()
def show(
    context: typer.Context, kind: Kind, *, organization: Organization = None, as_json: options.AsJson = False
) -> None:
    """Show a policy, the default where the organization has not set one."""

    async def work(app: App) -> PolicyInForce:
        return await app.accounts.policies.view(acting_for(app, organization), kind)

    found = administer(context, work)
    give(found, _facts(found), as_json=as_json)


@commands.command(name="set")
def set_(
    context: typer.Context,
    kind: Kind,
    body: Annotated[
        dict[str, object],
        typer.Argument(
            metavar="JSON", parser=options.json_object, help="What differs from the default: '{\"history\": 5}'."
        ),
    ],
    *,
    organization: Organization = None,
    as_json: options.AsJson = False,
) -> None:
    """Set a policy; what is not given is as in the default."""

    async def work(app: App) -> PolicyInForce:
        new = parse(NewPolicy, {"policy": {**body, "kind": kind}})
        return await app.accounts.policies.update(acting_for(app, organization), new.policy)

    changed = administer(context, work)
    give(changed, _facts(changed), as_json=as_json)


def _facts(found: PolicyInForce) -> Facts:
    said = found.policy.model_dump(mode="json", exclude_none=True)
    return Facts(pairs=[(name, str(value)) for name, value in said.items()])
