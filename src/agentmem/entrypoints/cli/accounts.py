"""``agentmem accounts``: accounts of people; the first administrator of an installation is made here."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from agentmem.entrypoints.cli import options
from agentmem.entrypoints.cli.administering import Organization, acting_for, administer
from agentmem.entrypoints.cli.output import Column, Facts, Sheet, give
from agentmem.entrypoints.cli.views import clock
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.authorization.platform import platform_id
from agentmem.kit.ids import AccountId
from agentmem.schemas.access import Role
from agentmem.schemas.accounts import Account, FirstAccount
from agentmem.schemas.base import parse

if TYPE_CHECKING:
    from agentmem.bootstrap import App

accounts = typer.Typer(
    name="accounts", no_args_is_help=True, help="Create, list, disable, unlock and delete accounts of people."
)

_PAGE = 1000
Id = Annotated[UUID, typer.Argument(metavar="ACCOUNT", help="Id of the account.")]


@accounts.command()
def create(
    context: typer.Context,
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The person's e-mail address.")],
    *,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What the person is called.")],
    operator: Annotated[
        bool, typer.Option("--operator", metavar="", help="Let them operate the platform and its organizations.")
    ] = False,
    owner: Annotated[bool, typer.Option("--owner", metavar="", help="Make them an owner of the organization.")] = False,
    organization: Organization = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", metavar="", help="Read the password from standard input, not a prompt.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Create an account with a password; with --operator or --owner its person can begin to administer."""
    if operator and owner:
        raise typer.BadParameter("Give --operator or --owner, not both.")
    given = {"email": email, "name": name, "password": _password(password_stdin)}

    async def work(app: App) -> Account:
        new = parse(FirstAccount, given)
        await app.accounts.found()
        joining = None
        if operator or owner:
            joining = acting_for(app, platform_id() if operator else organization)
        role = Role.OPERATOR if operator else Role.OWNER
        return await app.accounts.keeping.create(_operator(app), new, joining, role)

    made = administer(context, work)
    give(made, _facts(made), as_json=as_json)


@accounts.command(name="list")
def list_(context: typer.Context, *, as_json: options.AsJson = False) -> None:
    """List all accounts."""

    async def work(app: App) -> list[Account]:
        await app.accounts.found()
        found, cursor = list[Account](), None
        while True:
            page = await app.accounts.service.page(_operator(app), cursor, _PAGE)
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                return found

    every = administer(context, work)
    give(every, _sheet(every), as_json=as_json)


@accounts.command()
def disable(context: typer.Context, account: Id, *, as_json: options.AsJson = False) -> None:
    """Let an account sign in no more; its sessions end within a second."""

    async def work(app: App) -> Account:
        return await app.accounts.keeping.disable(_operator(app), AccountId(account))

    changed = administer(context, work)
    give(changed, f"The account {changed.id} is disabled.", as_json=as_json)


@accounts.command()
def enable(context: typer.Context, account: Id, *, as_json: options.AsJson = False) -> None:
    """Let a disabled account sign in again."""

    async def work(app: App) -> Account:
        return await app.accounts.service.enable(_operator(app), AccountId(account))

    changed = administer(context, work)
    give(changed, f"The account {changed.id} can sign in again.", as_json=as_json)


@accounts.command()
def unlock(context: typer.Context, account: Id, *, as_json: options.AsJson = False) -> None:
    """Forgive all guesses at an account's password; one that they had ended works again."""

    async def work(app: App) -> Account:
        return await app.accounts.service.unlock(_operator(app), AccountId(account))

    found = administer(context, work)
    give(found, f"The account {found.id} is unlocked.", as_json=as_json)


@accounts.command()
def delete(context: typer.Context, account: Id) -> None:
    """Delete an account; its memberships end with it."""

    async def work(app: App) -> None:
        await app.accounts.keeping.delete(_operator(app), AccountId(account))

    administer(context, work)
    give(None, f"The account {account} is deleted.", as_json=False)


def _operator(app: App) -> Caller:
    return replace(app.caller, organization_id=platform_id())


def _password(from_input: bool) -> str:  # noqa: FBT001  # whether it is piped
    if from_input:
        return sys.stdin.readline().removesuffix("\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


def _facts(account: Account) -> Facts:
    return Facts(pairs=[("account", str(account.id)), ("email", account.email), ("name", account.name)])


def _sheet(found: list[Account]) -> Sheet:
    return Sheet(
        columns=[
            Column(name="Id", style="green"),
            Column(name="E-mail", grows=True),
            Column(name="Name"),
            Column(name="Created (UTC)", style="cyan"),
            Column(name="State"),
        ],
        rows=[
            (
                str(account.id),
                account.email,
                account.name,
                clock(account.created_at),
                "" if account.disabled_at is None else "disabled",
            )
            for account in found
        ],
        nothing="No accounts.",
    )
