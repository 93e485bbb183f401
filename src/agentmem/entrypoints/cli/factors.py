"""``agentmem factors``: the second factors of an account, and what to do when they were lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from agentmem.entrypoints.cli import options
from agentmem.entrypoints.cli.administering import administer
from agentmem.entrypoints.cli.output import Facts, give
from agentmem.foundation.authorization.caller import local_operator
from agentmem.foundation.authorization.platform import platform_id
from agentmem.kit.ids import AccountId
from agentmem.schemas.factors import FactorKind, Factors

if TYPE_CHECKING:
    from agentmem.bootstrap import App

factor_commands = typer.Typer(name="factors", no_args_is_help=True, help="See and reset second factors of accounts.")

Account = Annotated[UUID, typer.Argument(metavar="ACCOUNT", help="Id of the account.")]


@factor_commands.command()
def show(context: typer.Context, account: Account, *, as_json: options.AsJson = False) -> None:
    """Show which factors an account has."""

    async def work(opened: App) -> Factors:
        return await opened.factors.secondary.factors.of_account(local_operator(platform_id()), AccountId(account))

    found = administer(context, work)
    give(found, _facts(found), as_json=as_json)


@factor_commands.command()
def reset(
    context: typer.Context,
    account: Account,
    *,
    kind: Annotated[
        FactorKind | None, typer.Option("--kind", metavar="KIND", help="Of this kind alone: totp, passkey, ...")
    ] = None,
) -> None:
    """Remove the factors of a person who lost them, and end their sessions; the password is still asked for."""

    async def work(opened: App) -> None:
        await opened.factors.reset(local_operator(platform_id()), AccountId(account), kind)

    administer(context, work)


def _facts(factors: Factors) -> Facts:
    return Facts(
        pairs=[
            ("authenticator app", "yes" if factors.totp else "no"),
            ("passkeys", ", ".join(passkey.name for passkey in factors.passkeys) or "none"),
            ("codes by mail", "yes" if factors.email else "no"),
            ("codes by SMS", "yes" if factors.sms else "no"),
            ("recovery codes left", str(factors.recovery_codes_left)),
        ]
    )
