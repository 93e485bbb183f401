"""``agentmem webhooks``: where an organization's events are sent to, from its own machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final
from uuid import UUID

import typer

from agentmem.entrypoints.cli import options
from agentmem.entrypoints.cli.administering import Organization, acting_for, administer
from agentmem.entrypoints.cli.output import Column, Facts, Sheet, give
from agentmem.entrypoints.cli.views import clock
from agentmem.schemas.base import parse
from agentmem.schemas.webhooks import Delivery, IssuedWebhook, KeyRotation, NewWebhook, Webhook, WebhookPatch

if TYPE_CHECKING:
    from agentmem.bootstrap import App

webhook_commands = typer.Typer(
    name="webhooks", no_args_is_help=True, help="Send events to a server of yours, and see what became of them."
)
_MOST: Final = 1000

Id = Annotated[UUID, typer.Argument(metavar="WEBHOOK", help="Id of the webhook.")]
Types = Annotated[
    list[str] | None,
    typer.Option("--type", metavar="TYPE", help="Events to send, such as memory.added or memory.*; else all."),
]


@webhook_commands.command()
def create(
    context: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where to send events: https://.")],
    *,
    types: Types = None,
    description: Annotated[str, typer.Option("--description", metavar="TEXT", help="What it is for.")] = "",
    organization: Organization = None,
    as_json: options.AsJson = False,
) -> None:
    """Create a webhook; the key that signs what is sent is shown this once."""

    async def work(opened: App) -> IssuedWebhook:
        new = parse(NewWebhook, {"url": url, "types": types or ["*"], "description": description})
        return await opened.events.webhooks.create(acting_for(opened, organization), new)

    issued = administer(context, work)
    give(issued, _issued(issued), as_json=as_json)


@webhook_commands.command(name="list")
def list_(context: typer.Context, *, organization: Organization = None, as_json: options.AsJson = False) -> None:
    """List the webhooks, without their keys."""

    async def work(opened: App) -> list[Webhook]:
        return (await opened.events.webhooks.page(acting_for(opened, organization), None, _MOST)).items

    found = administer(context, work)
    give(found, _sheet(found), as_json=as_json)


@webhook_commands.command()
def enable(
    context: typer.Context, webhook: Id, *, organization: Organization = None, as_json: options.AsJson = False
) -> None:
    """Send to a webhook again that was disabled."""
    changed = _switch(context, webhook, organization, enabled=True)
    give(changed, f"The webhook {changed.id} is enabled.", as_json=as_json)


@webhook_commands.command()
def disable(
    context: typer.Context, webhook: Id, *, organization: Organization = None, as_json: options.AsJson = False
) -> None:
    """Send nothing more to a webhook until it is enabled again."""
    changed = _switch(context, webhook, organization, enabled=False)
    give(changed, f"The webhook {changed.id} is disabled.", as_json=as_json)


@webhook_commands.command()
def rotate(
    context: typer.Context,
    webhook: Id,
    *,
    overlap: Annotated[
        int, typer.Option("--overlap", metavar="SECONDS", help="How long the old key signs too; at most a week.")
    ] = KeyRotation().overlap_seconds,
    organization: Organization = None,
    as_json: options.AsJson = False,
) -> None:
    """Make a new signing key; the old one signs beside it for a while."""

    async def work(opened: App) -> IssuedWebhook:
        asked = parse(KeyRotation, {"overlap_seconds": overlap})
        caller = acting_for(opened, organization)
        return await opened.events.webhooks.rotate(caller, webhook, asked.overlap_seconds)

    issued = administer(context, work)
    give(issued, _issued(issued), as_json=as_json)


@webhook_commands.command(name="test")
def ping(
    context: typer.Context, webhook: Id, *, organization: Organization = None, as_json: options.AsJson = False
) -> None:
    """Have a running server send a ping to a webhook."""

    async def work(opened: App) -> Delivery:
        return await opened.events.webhooks.test(acting_for(opened, organization), webhook)

    asked = administer(context, work)
    give(asked, f"A ping is on its way: delivery {asked.id}.", as_json=as_json)


@webhook_commands.command()
def deliveries(
    context: typer.Context, webhook: Id, *, organization: Organization = None, as_json: options.AsJson = False
) -> None:
    """List the newest messages to a webhook, up to 1,000, and what became of each."""

    async def work(opened: App) -> list[Delivery]:
        return (await opened.events.webhooks.deliveries(acting_for(opened, organization), webhook, None, _MOST)).items

    found = administer(context, work)
    give(found, _log(found), as_json=as_json)


@webhook_commands.command()
def replay(
    context: typer.Context,
    webhook: Id,
    delivery: Annotated[UUID, typer.Argument(metavar="DELIVERY", help="Id of the delivery.")],
    *,
    organization: Organization = None,
    as_json: options.AsJson = False,
) -> None:
    """Have a running server send a message once more, under the same id."""

    async def work(opened: App) -> Delivery:
        return await opened.events.webhooks.replay(acting_for(opened, organization), webhook, delivery)

    asked = administer(context, work)
    give(asked, f"The delivery {asked.id} is on its way again.", as_json=as_json)


@webhook_commands.command()
def delete(context: typer.Context, webhook: Id, *, organization: Organization = None) -> None:
    """Delete a webhook, and the log of what was sent to it."""

    async def work(opened: App) -> None:
        await opened.events.webhooks.delete(acting_for(opened, organization), webhook)

    administer(context, work)
    give(None, f"The webhook {webhook} is deleted.", as_json=False)


def _switch(context: typer.Context, webhook: UUID, organization: UUID | None, *, enabled: bool) -> Webhook:
    async def work(opened: App) -> Webhook:
        patch = WebhookPatch(enabled=enabled)
        return await opened.events.webhooks.update(acting_for(opened, organization), webhook, patch)

    return administer(context, work)


def _issued(issued: IssuedWebhook) -> Facts:
    return Facts(
        pairs=[
            ("signing key", issued.key or ""),
            ("", "It is shown only now."),
            ("id", str(issued.webhook.id)),
            ("sends", ", ".join(issued.webhook.types)),
            ("to", issued.webhook.url),
        ]
    )


def _sheet(found: list[Webhook]) -> Sheet:
    return Sheet(
        columns=[
            Column(name="Id", style="green"),
            Column(name="URL", grows=True),
            Column(name="Events"),
            Column(name="State"),
        ],
        rows=[(str(item.id), item.url, ", ".join(item.types), _state(item)) for item in found],
        nothing="No webhooks.",
    )


def _state(webhook: Webhook) -> str:
    if not webhook.enabled:
        return f"disabled: {webhook.disabled_reason}"
    return "" if webhook.failing_since is None else f"failing since {clock(webhook.failing_since)}"


def _log(found: list[Delivery]) -> Sheet:
    return Sheet(
        columns=[
            Column(name="Delivery", style="green"),
            Column(name="Event", grows=True),
            Column(name="At (UTC)", style="cyan"),
            Column(name="State"),
            Column(name="Attempts", right=True),
            Column(name="Last answer"),
        ],
        rows=[
            (str(item.id), item.type, clock(item.created_at), item.state, str(len(item.attempts)), _last(item))
            for item in found
        ],
        nothing="Nothing was sent.",
    )


def _last(delivery: Delivery) -> str:
    if not delivery.attempts:
        return ""
    last = delivery.attempts[-1]
    return str(last.status) if last.error is None else last.error
