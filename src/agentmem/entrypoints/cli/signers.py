"""``agentmem keys signing``: keys that sign the requests of an API key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agentmem.entrypoints.cli import options
from agentmem.entrypoints.cli.administering import Organization, acting_for, administer
from agentmem.entrypoints.cli.output import Column, Facts, Sheet, give
from agentmem.entrypoints.cli.views import clock
from agentmem.schemas.base import parse
from agentmem.schemas.request_keys import IssuedRequestKey, NewRequestKey, RequestKey, SignatureAlgorithm

if TYPE_CHECKING:
    from agentmem.bootstrap import App

signers = typer.Typer(
    name="signing", no_args_is_help=True, help="Keys that sign requests, so that nobody can change or repeat them."
)

KeyId = Annotated[str, typer.Argument(metavar="KEY_ID", help="Id of the API key whose requests are signed.")]


@signers.command()
def create(
    context: typer.Context,
    key_id: KeyId,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who signs with it.")],
    *,
    algorithm: Annotated[
        SignatureAlgorithm, typer.Option("--algorithm", help="Of ed25519 only the public half is kept.")
    ] = SignatureAlgorithm.ED25519,
    public_key: Annotated[
        str | None, typer.Option("--public-key", metavar="TEXT", help="Of a key pair of yours: `x` of its JWK.")
    ] = None,
    organization: Organization = None,
    as_json: options.AsJson = False,
) -> None:
    """Make a key that signs the requests of an API key; it is shown this once."""

    async def work(opened: App) -> IssuedRequestKey:
        new = parse(NewRequestKey, {"name": name, "algorithm": algorithm, "public_key": public_key})
        return await opened.issuing.add_signer(acting_for(opened, organization), key_id, new)

    issued = administer(context, work)
    give(issued, _issued(issued), as_json=as_json)


@signers.command(name="list")
def list_(
    context: typer.Context, key_id: KeyId, *, organization: Organization = None, as_json: options.AsJson = False
) -> None:
    """List the keys that sign for an API key, and those that did, without their secrets."""

    async def work(opened: App) -> list[RequestKey]:
        return await opened.issuing.signers.list(acting_for(opened, organization), key_id)

    found = administer(context, work)
    give(found, _sheet(found), as_json=as_json)


@signers.command()
def revoke(
    context: typer.Context,
    key_id: KeyId,
    signing_key_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key that signs.")],
    *,
    organization: Organization = None,
    as_json: options.AsJson = False,
) -> None:
    """End a key that signs; a running server refuses its signatures within a second."""

    async def work(opened: App) -> RequestKey:
        return await opened.issuing.revoke_signer(acting_for(opened, organization), key_id, signing_key_id)

    ended = administer(context, work)
    give(ended, f"The signing key {ended.id} is revoked.", as_json=as_json)


def _issued(issued: IssuedRequestKey) -> Facts:
    return Facts(
        pairs=[
            ("signing key", issued.key or "your own"),
            ("", "It is shown only now."),
            ("id", issued.request_key.id),
            ("signs for", issued.request_key.key_id),
        ]
    )


def _sheet(found: list[RequestKey]) -> Sheet:
    return Sheet(
        columns=[
            Column(name="Id", style="green"),
            Column(name="Name", grows=True),
            Column(name="Algorithm"),
            Column(name="Created (UTC)", style="cyan"),
            Column(name="Revoked (UTC)", style="cyan"),
        ],
        rows=[(key.id, key.name, key.algorithm, clock(key.created_at), clock(key.revoked_at)) for key in found],
        nothing="No signing keys.",
    )
