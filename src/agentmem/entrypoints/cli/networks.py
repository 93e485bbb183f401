"""``agentmem networks``: from where an organization, or the whole installation, may be asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Final
from uuid import UUID

import typer

from agentmem.entrypoints.cli import options
from agentmem.entrypoints.cli.administering import Organization, acting_for, administer
from agentmem.entrypoints.cli.output import Column, Sheet, give
from agentmem.entrypoints.cli.views import clock
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.authorization.platform import PLATFORM_NAME, platform_id
from agentmem.schemas.base import parse
from agentmem.schemas.networks import NetworkList, NetworkRule, NewNetworkRule

if TYPE_CHECKING:
    from agentmem.bootstrap import App

networks = typer.Typer(
    name="networks",
    no_args_is_help=True,
    help="Say where requests may come from; done here, nobody is kept from locking themselves out.",
)
_MOST: Final = 1000

Network = Annotated[str, typer.Argument(metavar="CIDR", help="A network, such as 192.0.2.0/24, or one address.")]
Because = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept with the network.")]
Seconds = Annotated[int | None, typer.Option("--seconds", metavar="N", help="For how long; else for good.")]
Installation = Annotated[
    bool, typer.Option("--installation", metavar="", help="For whoever asks, and not for one organization.")
]


@networks.command()
def allow(
    context: typer.Context,
    network: Network,
    *,
    reason: Because,
    seconds: Seconds = None,
    installation: Installation = False,
    organization: Organization = None,
    as_json: options.AsJson = False,
) -> None:
    """Allow a network, and with the first one nothing else; running servers follow within a second."""
    values = {"network": network, "list": NetworkList.ALLOW, "reason": reason, "expires_in_seconds": seconds}
    rule = _add(context, values, organization, installation=installation)
    give(rule, f"{rule.network} is allowed.", as_json=as_json)


@networks.command()
def deny(
    context: typer.Context,
    network: Network,
    *,
    reason: Because,
    seconds: Seconds = None,
    installation: Installation = False,
    organization: Organization = None,
    as_json: options.AsJson = False,
) -> None:
    """Deny a network, whatever is allowed; running servers follow within a second."""
    values = {"network": network, "list": NetworkList.DENY, "reason": reason, "expires_in_seconds": seconds}
    rule = _add(context, values, organization, installation=installation)
    give(rule, f"{rule.network} is denied.", as_json=as_json)


@networks.command(name="list")
def list_(
    context: typer.Context,
    *,
    installation: Installation = False,
    organization: Organization = None,
    as_json: options.AsJson = False,
) -> None:
    """List the networks, up to 1,000."""

    async def work(opened: App) -> list[NetworkRule]:
        caller = await _caller(opened, organization, installation=installation)
        page = opened.networks.page_installation if installation else opened.networks.page
        return (await page(caller, None, _MOST)).items

    found = administer(context, work)
    give(found, _sheet(found), as_json=as_json)


@networks.command()
def remove(
    context: typer.Context,
    rule: Annotated[UUID, typer.Argument(metavar="ID", help="Id of the network on its list.")],
    *,
    installation: Installation = False,
    organization: Organization = None,
) -> None:
    """Take a network off its list."""

    async def work(opened: App) -> None:
        caller = await _caller(opened, organization, installation=installation)
        take_off = opened.networks.remove_installation if installation else opened.networks.remove
        await take_off(caller, rule)

    administer(context, work)
    give(None, f"{rule} is removed.", as_json=False)


def _add(
    context: typer.Context, values: Mapping[str, object], organization: UUID | None, *, installation: bool
) -> NetworkRule:
    async def work(opened: App) -> NetworkRule:
        caller = await _caller(opened, organization, installation=installation)
        add = opened.networks.add_installation if installation else opened.networks.add
        return await add(caller, parse(NewNetworkRule, values))

    return administer(context, work)


async def _caller(opened: App, organization: UUID | None, *, installation: bool) -> Caller:
    """Give the operator of an organization, or of the platform's, which it makes if need be."""
    if not installation:
        return acting_for(opened, organization)
    caller = acting_for(opened, platform_id())
    await opened.organizations.register(caller, PLATFORM_NAME)
    return caller


def _sheet(found: list[NetworkRule]) -> Sheet:
    return Sheet(
        columns=[
            Column(name="Id", style="green"),
            Column(name="List"),
            Column(name="Network"),
            Column(name="Reason", grows=True),
            Column(name="Until (UTC)", style="cyan"),
        ],
        rows=[(str(rule.id), rule.list, rule.network, rule.reason, clock(rule.expires_at)) for rule in found],
        nothing="No networks: requests may come from anywhere.",
    )
