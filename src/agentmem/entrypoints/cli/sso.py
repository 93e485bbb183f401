"""``agentmem sso``: the provider at which an organization's people sign in."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from agentmem.entrypoints.cli import options
from agentmem.entrypoints.cli.administering import Organization, acting_for, administer
from agentmem.entrypoints.cli.output import Facts, give
from agentmem.schemas.access import Role
from agentmem.schemas.base import parse
from agentmem.schemas.policies import PolicyInForce, PolicyKind, SsoPolicy

if TYPE_CHECKING:
    from agentmem.bootstrap import App

sso = typer.Typer(name="sso", no_args_is_help=True, help="Let people sign in at their organization's OpenID provider.")


@sso.command(name="set")
def set_(
    context: typer.Context,
    issuer: Annotated[str, typer.Argument(metavar="ISSUER", help="The provider, as it calls itself.")],
    client_id: Annotated[str, typer.Argument(metavar="CLIENT_ID", help="What it calls this installation.")],
    *,
    roles: Annotated[
        list[str] | None, typer.Option("--role", metavar="GROUP=ROLE", help="What a group may be here; repeat it.")
    ] = None,
    default_role: Annotated[
        Role | None, typer.Option("--default-role", help="For whoever has no such group; else they are refused.")
    ] = None,
    break_glass: Annotated[
        list[UUID] | None, typer.Option("--break-glass", metavar="MEMBER", help="Who may do without it; repeat it.")
    ] = None,
    enforced: Annotated[bool, typer.Option("--enforced", metavar="", help="Nobody else signs in otherwise.")] = False,
    secret: Annotated[
        bool, typer.Option("--secret", metavar="", help="Read the client's secret from standard input.")
    ] = False,
    organization: Organization = None,
    as_json: options.AsJson = False,
) -> None:
    """Say where an organization's people sign in."""
    if any("=" not in role for role in roles or []):
        raise typer.BadParameter("is GROUP=ROLE, such as engineering=member", param_hint="--role")
    given = dict(role.split("=", 1) for role in roles or [])

    async def work(opened: App) -> PolicyInForce:
        values = {
            "issuer": issuer,
            "client_id": client_id,
            "roles": given,
            "default_role": default_role,
            "break_glass": break_glass or [],
            "enforced": enforced,
        }
        caller = acting_for(opened, organization)
        policy = await opened.accounts.policies.update(caller, parse(SsoPolicy, values))
        if secret:
            await opened.single.federation.set_secret(caller, sys.stdin.read().strip() or None)
        return policy

    found = administer(context, work)
    give(found, _facts(found), as_json=as_json)


@sso.command()
def show(context: typer.Context, *, organization: Organization = None, as_json: options.AsJson = False) -> None:
    """Show where an organization's people sign in."""

    async def work(opened: App) -> PolicyInForce:
        return await opened.accounts.policies.view(acting_for(opened, organization), PolicyKind.SSO)

    found = administer(context, work)
    give(found, _facts(found), as_json=as_json)


@sso.command()
def off(context: typer.Context, *, organization: Organization = None, as_json: options.AsJson = False) -> None:
    """Take the provider away: people sign in by password again."""

    async def work(opened: App) -> PolicyInForce:
        caller = acting_for(opened, organization)
        await opened.single.federation.set_secret(caller, None)
        return await opened.accounts.policies.update(caller, SsoPolicy())

    found = administer(context, work)
    give(found, _facts(found), as_json=as_json)


def _facts(found: PolicyInForce) -> Facts:
    policy = found.policy
    if not isinstance(policy, SsoPolicy) or policy.issuer is None:
        return Facts(pairs=[("provider", "none")])
    return Facts(
        pairs=[
            ("provider", policy.issuer),
            ("client", policy.client_id or ""),
            ("roles", ", ".join(f"{group}: {role}" for group, role in policy.roles.items())),
            ("others", policy.default_role or "refused"),
            ("enforced", "yes" if policy.enforced else "no"),
        ]
    )
