"""``agentmem encryption``: the keys by which an organization's data is sealed, from the installation's own machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agentmem.entrypoints.cli import options
from agentmem.entrypoints.cli.administering import Organization, acting_for, administer
from agentmem.entrypoints.cli.output import Column, Facts, Sheet, counted, give, say
from agentmem.entrypoints.cli.views import clock
from agentmem.schemas.encryption import KeyInventory, MasterKeyRotation, MasterKeyState
from agentmem.schemas.jobs import OrderedJob

if TYPE_CHECKING:
    from agentmem.bootstrap import App

commands = typer.Typer(
    name="encryption", no_args_is_help=True, help="Show which keys protect what, and rotate them while all is in use."
)


@commands.command()
def keys(context: typer.Context, *, organization: Organization = None, as_json: options.AsJson = False) -> None:
    """Show the encryption keys of an organization, and how many values each protects."""

    async def work(app: App) -> KeyInventory:
        return await app.custody.rotation.inventory(acting_for(app, organization))

    found = administer(context, work)
    give(found, _sheet(found), as_json=as_json)


@commands.command()
def rotate(context: typer.Context, *, organization: Organization = None, as_json: options.AsJson = False) -> None:
    """Seal by a fresh data key from now on; a job seals anew what the old one has sealed."""

    async def work(app: App) -> OrderedJob:
        return OrderedJob(job_id=await app.custody.rotation.rotate_data_key(acting_for(app, organization)))

    ordered = administer(context, work)
    give(ordered, Facts(pairs=[("job", str(ordered.job_id))]), as_json=as_json)


@commands.command(name="rotate-master")
def rotate_master(context: typer.Context, *, as_json: options.AsJson = False) -> None:
    """Wrap by a fresh master key from now on; servers wrap the keys of all organizations anew within minutes."""

    async def work(app: App) -> MasterKeyRotation:
        rotated = await app.custody.rotation.rotate_master_key(app.caller)
        await app.custody.rotation.rewrap(app.caller)
        return rotated

    rotated = administer(context, work)
    give(rotated, Facts(pairs=[("master key", rotated.master_key_id)]), as_json=as_json)


@commands.command(name="master-keys")
def master_keys(context: typer.Context, *, as_json: options.AsJson = False) -> None:
    """List the master keys, and how many keys of organizations each wraps."""

    async def work(app: App) -> list[MasterKeyState]:
        return await app.custody.master_keys.every(app.caller)

    found = administer(context, work)
    sheet = Sheet(
        columns=[Column(name="Id", style="green", grows=True), Column(name="State"), Column(name="Wraps", right=True)],
        rows=[(key.id, "active" if key.active else "retired", counted(key.wraps, "key")) for key in found],
        nothing="No master keys.",
    )
    give(found, sheet, as_json=as_json)


@commands.command(name="destroy-master")
def destroy_master(
    context: typer.Context,
    master_key_id: Annotated[str, typer.Argument(metavar="MASTER_KEY_ID", help="A retired one that wraps nothing.")],
) -> None:
    """Destroy a retired master key for good; a backup from before its rotation can then be restored by nobody."""

    async def work(app: App) -> None:
        await app.custody.master_keys.destroy(app.caller, master_key_id)

    administer(context, work)
    say(f"The master key {master_key_id} is destroyed.")


def _sheet(found: KeyInventory) -> Sheet:
    rows = [
        (
            str(key.key_id),
            key.purpose,
            "active" if key.retired_at is None else "retired",
            counted(sum(key.values.values()) + key.subject_keys, "value"),
            clock(key.created_at),
            key.master_key_id,
        )
        for key in found.keys
    ]
    of_subjects = counted(sum(found.subject_values.values()), "value")
    rows.append((counted(found.subject_keys, "key"), "subjects", "active", of_subjects, "", ""))
    return Sheet(
        columns=[
            Column(name="Id", style="green"),
            Column(name="Purpose"),
            Column(name="State"),
            Column(name="Protects", right=True),
            Column(name="Made (UTC)", style="cyan"),
            Column(name="Master key", grows=True),
        ],
        rows=rows,
        nothing="No keys.",
    )
