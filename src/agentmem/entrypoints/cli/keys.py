"""``agentmem keys``: API keys of an organization, from its own machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final
from uuid import UUID

import typer

from agentmem.entrypoints.cli import options
from agentmem.entrypoints.cli.administering import Organization, acting_for, administer
from agentmem.entrypoints.cli.output import Column, Facts, Sheet, give
from agentmem.entrypoints.cli.views import clock
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.authorization.platform import PLATFORM_NAME, platform_id
from agentmem.schemas.access import Permission
from agentmem.schemas.base import parse
from agentmem.schemas.keys import ApiKey, IssuedKey, KeyEnvironment, NewApiKey, Revocation, Rotation

if TYPE_CHECKING:
    from agentmem.bootstrap import App

keys = typer.Typer(name="keys", no_args_is_help=True, help="Create, list, rotate and revoke API keys.")

_BINDING: Final = "What it is bound to"
_MOST: Final = 1000

KeyId = Annotated[str, typer.Argument(metavar="KEY_ID", help="Id of the key: the 12 characters after its prefix.")]
Scopes = Annotated[
    list[Permission] | None,
    typer.Option("--scope", metavar="PERMISSION", help="What it may do; repeat it. Else all that its member may."),
]
ActsAs = Annotated[
    UUID | None, typer.Option("--member", metavar="ID", help="The member it acts as; else the first owner.")
]
Operator = Annotated[
    bool, typer.Option("--operator", metavar="", help="A key that operates the platform and its organizations.")
]
User = Annotated[
    str | None, typer.Option("--user", metavar="ID", help="Only this user's memories.", rich_help_panel=_BINDING)
]
Agent = Annotated[
    str | None, typer.Option("--agent", metavar="ID", help="Only this agent's memories.", rich_help_panel=_BINDING)
]
Run = Annotated[
    str | None, typer.Option("--run", metavar="ID", help="Only this run's memories.", rich_help_panel=_BINDING)
]
Program = Annotated[
    str | None, typer.Option("--app", metavar="ID", help="Only this app's memories.", rich_help_panel=_BINDING)
]
Networks = Annotated[
    list[str] | None,
    typer.Option("--network", metavar="CIDR", help="Where it may be used from; repeat it. Else anywhere."),
]
Days = Annotated[int | None, typer.Option("--days", metavar="N", help="Days until it expires; else 90.")]
Rate = Annotated[int | None, typer.Option("--requests-per-minute", metavar="N", help="A rate limit of its own.")]
Environment = Annotated[
    KeyEnvironment, typer.Option("--environment", help="Part of the key's text, so that people see what it is for.")
]


@keys.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is for.")],
    *,
    scopes: Scopes = None,
    member: ActsAs = None,
    operator: Operator = False,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    app: Program = None,
    networks: Networks = None,
    days: Days = None,
    rate: Rate = None,
    environment: Environment = KeyEnvironment.LIVE,
    organization: Organization = None,
    as_json: options.AsJson = False,
) -> None:
    """Create a key; it is shown this once."""

    async def work(opened: App) -> IssuedKey:
        new = parse(
            NewApiKey,
            {
                "name": name,
                "member_id": member,
                "scopes": scopes or None,
                "binding": {"user_id": user, "agent_id": agent, "run_id": run, "app_id": app},
                "networks": networks or [],
                "expires_in_days": days,
                "requests_per_minute": rate,
                "environment": environment,
            },
        )
        return await opened.issuing.create(await _caller(opened, organization, operator=operator), new)

    issued = administer(context, work)
    give(issued, _issued(issued), as_json=as_json)


@keys.command(name="list")
def list_(context: typer.Context, *, organization: Organization = None, as_json: options.AsJson = False) -> None:
    """List the newest keys, up to 1,000, without their secrets."""

    async def work(opened: App) -> list[ApiKey]:
        return (await opened.keys.page(acting_for(opened, organization), None, _MOST)).items

    found = administer(context, work)
    give(found, _sheet(found), as_json=as_json)


@keys.command()
def rotate(
    context: typer.Context,
    key_id: KeyId,
    *,
    overlap: Annotated[
        int, typer.Option("--overlap", metavar="SECONDS", help="How long the old key works on; at most a week.")
    ] = Rotation().overlap_seconds,
    organization: Organization = None,
    as_json: options.AsJson = False,
) -> None:
    """Replace a key by a new one; the old one works on for a while."""

    async def work(opened: App) -> IssuedKey:
        asked = parse(Rotation, {"overlap_seconds": overlap})
        return await opened.issuing.rotate(acting_for(opened, organization), key_id, asked.overlap_seconds)

    issued = administer(context, work)
    give(issued, _issued(issued), as_json=as_json)


@keys.command()
def revoke(
    context: typer.Context,
    key_id: KeyId,
    *,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept with the key.")
    ] = Revocation().reason,
    descendants: Annotated[
        bool, typer.Option("--descendants", metavar="", help="Revoke the keys that were made with it too.")
    ] = False,
    organization: Organization = None,
    as_json: options.AsJson = False,
) -> None:
    """End a key at once; a running server refuses it within a second."""

    async def work(opened: App) -> ApiKey:
        asked = parse(Revocation, {"reason": reason, "descendants": descendants})
        caller = acting_for(opened, organization)
        return await opened.issuing.revoke(caller, key_id, asked.reason, descendants=asked.descendants)

    ended = administer(context, work)
    give(ended, f"The API key {ended.id} is revoked.", as_json=as_json)


async def _caller(opened: App, organization: UUID | None, *, operator: bool) -> Caller:
    """Give who makes a key: the local operator of an organization, or of the platform's, which it makes if need be."""
    if not operator:
        return acting_for(opened, organization)
    caller = acting_for(opened, platform_id())
    await opened.organizations.register(caller, PLATFORM_NAME)
    return caller


def _issued(issued: IssuedKey) -> Facts:
    key = issued.api_key
    return Facts(
        pairs=[
            ("API key", issued.key or ""),
            ("", "It is shown only now."),
            ("id", key.id),
            ("expires", clock(key.expires_at)),
            ("may", ", ".join(scope.value for scope in key.scopes)),
        ]
    )


def _sheet(found: list[ApiKey]) -> Sheet:
    return Sheet(
        columns=[
            Column(name="Id", style="green"),
            Column(name="Name", grows=True),
            Column(name="Ends with"),
            Column(name="Expires (UTC)", style="cyan"),
            Column(name="Last used (UTC)", style="cyan"),
            Column(name="State"),
        ],
        rows=[
            (
                key.id,
                key.name,
                key.last_four,
                clock(key.expires_at),
                clock(key.last_used_at),
                "" if key.revoked_at is None else f"revoked: {key.revoke_reason}",
            )
            for key in found
        ],
        nothing="No API keys.",
    )
