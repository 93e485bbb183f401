"""``agentmem sessions`` and ``agentmem signing-keys``: where people have signed in, and what signs their tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from agentmem.entrypoints.cli import options
from agentmem.entrypoints.cli.administering import acting_for, administer
from agentmem.entrypoints.cli.output import Column, Sheet, give
from agentmem.entrypoints.cli.views import clock
from agentmem.foundation.authorization.platform import platform_id
from agentmem.kit.ids import AccountId
from agentmem.schemas.sessions import EndedSessions, Session, SigningKey

if TYPE_CHECKING:
    from agentmem.bootstrap import App

sessions = typer.Typer(name="sessions", no_args_is_help=True, help="List and end the sessions of people.")
signing_keys = typer.Typer(name="signing-keys", no_args_is_help=True, help="List and rotate the keys of access tokens.")

Account = Annotated[UUID, typer.Argument(metavar="ACCOUNT", help="Id of the account.")]


@sessions.command(name="list")
def list_(context: typer.Context, account: Account, *, as_json: options.AsJson = False) -> None:
    """List the open sessions of an account, and where each was opened from."""

    async def work(app: App) -> list[Session]:
        await app.accounts.found()
        return await app.signing_in.sessions.of_account(acting_for(app, platform_id()), AccountId(account))

    found = administer(context, work)
    give(found, _sheet(found), as_json=as_json)


@sessions.command()
def end(
    context: typer.Context,
    account: Account,
    *,
    session: Annotated[
        UUID | None, typer.Option("--session", metavar="ID", help="This session; else all of the account's.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """End the sessions of an account; running servers refuse them within a second."""

    async def work(app: App) -> EndedSessions:
        await app.accounts.found()
        caller = acting_for(app, platform_id())
        return EndedSessions(ended=await app.signing_in.end_of_account(caller, AccountId(account), session))

    ended = administer(context, work)
    give(ended, f"{ended.ended} sessions ended.", as_json=as_json)


@signing_keys.command(name="list")
def list_keys(context: typer.Context, *, as_json: options.AsJson = False) -> None:
    """List the keys that check access tokens, and from when to when each is used."""

    async def work(app: App) -> list[SigningKey]:
        await app.accounts.found()
        return await app.admission.people.keys.service.every(acting_for(app, platform_id()))

    found = administer(context, work)
    give(found, _keys(found), as_json=as_json)


@signing_keys.command()
def rotate(
    context: typer.Context,
    *,
    now: Annotated[
        bool,
        typer.Option("--now", metavar="", help="The present key may be known: it checks no more."),
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Make the next key that signs access tokens; it takes over after an hour, so that nobody misses it."""

    async def work(app: App) -> list[SigningKey]:
        await app.accounts.found()
        return await app.admission.people.keys.service.rotate(acting_for(app, platform_id()), at_once=now)

    found = administer(context, work)
    give(found, _keys(found), as_json=as_json)


def _sheet(found: list[Session]) -> Sheet:
    return Sheet(
        columns=[
            Column(name="Id", style="green"),
            Column(name="From"),
            Column(name="With", grows=True),
            Column(name="How"),
            Column(name="Last seen (UTC)", style="cyan"),
            Column(name="Expires (UTC)", style="cyan"),
        ],
        rows=[
            (
                str(one.id),
                one.address or "",
                one.agent or "",
                "+".join(one.methods),
                clock(one.last_seen_at),
                clock(one.expires_at),
            )
            for one in found
        ],
        nothing="No open sessions.",
    )


def _keys(found: list[SigningKey]) -> Sheet:
    return Sheet(
        columns=[
            Column(name="Key", style="green", grows=True),
            Column(name="Signs from (UTC)", style="cyan"),
            Column(name="Checks until (UTC)", style="cyan"),
        ],
        rows=[(one.kid, clock(one.signs_from), clock(one.checks_until)) for one in found],
        nothing="No keys: the first sign-in makes one.",
    )
