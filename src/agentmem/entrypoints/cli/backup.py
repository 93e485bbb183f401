"""``agentmem backup``: backups of an installation, from its own machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agentmem.entrypoints.cli import options
from agentmem.entrypoints.cli.administering import administer
from agentmem.entrypoints.cli.output import Column, Facts, Sheet, give
from agentmem.entrypoints.cli.views import clock
from agentmem.schemas.backups import BackupContent, BackupManifest, RestoredBackup

if TYPE_CHECKING:
    from agentmem.bootstrap import App

commands = typer.Typer(name="backup", no_args_is_help=True, help="Make, check, restore and rehearse encrypted backups.")

BackupId = Annotated[str, typer.Argument(metavar="BACKUP_ID", help="Id of the backup.")]


@commands.command()
def create(
    context: typer.Context,
    *,
    keys: Annotated[bool, typer.Option("--keys", metavar="", help="Of the keys of users, not of the rest.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Make a backup of one moment, encrypted to every recipient and signed; nobody is disturbed."""
    content = BackupContent.KEYS if keys else BackupContent.MEMORIES

    async def work(app: App) -> BackupManifest:
        return await app.custody.backups.create(app.caller, content)

    _one(administer(context, work), as_json=as_json)


@commands.command(name="list")
def list_(context: typer.Context, *, as_json: options.AsJson = False) -> None:
    """List the backups, the newest first; a manifest that was changed is an error."""

    async def work(app: App) -> list[BackupManifest]:
        return await app.custody.backups.every(app.caller)

    found = administer(context, work)
    give(found, _sheet(found), as_json=as_json)


@commands.command()
def verify(context: typer.Context, backup_id: BackupId, *, as_json: options.AsJson = False) -> None:
    """Check a backup's signature and digest and, where the secret key is set, that all of it decrypts."""

    async def work(app: App) -> BackupManifest:
        return await app.custody.backups.verify(app.caller, backup_id)

    _one(administer(context, work), as_json=as_json)


@commands.command()
def restore(
    context: typer.Context,
    backup_id: BackupId,
    *,
    into: Annotated[
        str,
        typer.Option(
            "--into", metavar="URL", envvar="AGENTMEM_RESTORE_URL", help="An empty database. The variable hides it."
        ),
    ],
    keys: Annotated[
        str | None,
        typer.Option("--keys", metavar="BACKUP_ID", help="Take the keys of users from this backup, not from here."),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Restore into an empty database, compare every table, and erase again whoever was erased since."""

    async def work(app: App) -> RestoredBackup:
        return await app.custody.backups.restore(app.caller, backup_id, into, keys)

    _restored(administer(context, work), as_json=as_json)


@commands.command()
def drill(
    context: typer.Context,
    backup_id: Annotated[str | None, typer.Argument(metavar="BACKUP_ID", help="Else the newest.")] = None,
    *,
    as_json: options.AsJson = False,
) -> None:
    """Restore a backup into a database that is dropped again, to know that it can be."""

    async def work(app: App) -> RestoredBackup:
        return await app.custody.backups.drill(app.caller, backup_id)

    _restored(administer(context, work), as_json=as_json)


def _one(manifest: BackupManifest, *, as_json: bool) -> None:
    pairs = [
        ("backup", manifest.id),
        ("holds", manifest.content.value),
        ("made", clock(manifest.created_at)),
        ("bytes", f"{manifest.bytes:,}"),
        ("rows", f"{_rows(manifest):,} in {len(manifest.tables)} tables"),
        ("signed by", manifest.signer),
    ]
    give(manifest, Facts(pairs=pairs), as_json=as_json)


def _restored(restored: RestoredBackup, *, as_json: bool) -> None:
    pairs = [
        ("backup", restored.id),
        ("restored", f"{restored.rows:,} rows in {restored.tables} tables, all as they were"),
        ("erased again", f"{restored.erased_again:,} users"),
    ]
    give(restored, Facts(pairs=pairs), as_json=as_json)


def _sheet(found: list[BackupManifest]) -> Sheet:
    return Sheet(
        columns=[
            Column(name="Id", style="green"),
            Column(name="Holds"),
            Column(name="Made (UTC)", style="cyan"),
            Column(name="Bytes", right=True),
            Column(name="Rows", right=True),
        ],
        rows=[(one.id, one.content.value, clock(one.created_at), f"{one.bytes:,}", f"{_rows(one):,}") for one in found],
        nothing="No backups.",
    )


def _rows(manifest: BackupManifest) -> int:
    return sum(table.rows for table in manifest.tables.values())
