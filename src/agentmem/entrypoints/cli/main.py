"""The command line: ``agentmem``."""

from __future__ import annotations

import io
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final

import typer

from agentmem.entrypoints.cli import (
    audit,
    backup,
    deploying,
    encryption,
    jobs,
    keeping,
    moving,
    policies,
    privacy,
    reading,
    serving,
    trusting,
    writing,
)
from agentmem.entrypoints.cli.accounts import accounts
from agentmem.entrypoints.cli.demo import demo
from agentmem.entrypoints.cli.factors import factor_commands
from agentmem.entrypoints.cli.invitations import invitations
from agentmem.entrypoints.cli.keys import keys
from agentmem.entrypoints.cli.networks import networks
from agentmem.entrypoints.cli.organizations import organizations
from agentmem.entrypoints.cli.people import sessions, signing_keys
from agentmem.entrypoints.cli.session import Invocation
from agentmem.entrypoints.cli.shell import shell
from agentmem.entrypoints.cli.sso import sso
from agentmem.entrypoints.cli.webhooks import webhook_commands

_START: Final = "Start here"
_REMEMBER: Final = "Remember and find"
_KEEP: Final = "Change and forget"
_CARE: Final = "The store"
_PLATFORM: Final = "The server"

app = typer.Typer(
    name="agentmem",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 done, 1 an error (said on standard error), 2 wrong usage, 130 interrupted.",
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001  # typer calls it with the option's value
    if wanted:
        sys.stdout.write(f"agentmem {version('agentmem')}\n")
        raise typer.Exit


@app.callback()
def start(
    context: typer.Context,
    *,
    data_directory: Annotated[
        Path | None,
        typer.Option(
            "--data-directory",
            metavar="FOLDER",
            help="Folder of the store; else AGENTMEM_DATA_DIRECTORY, else your own.",
        ),
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(
            "--database-url",
            metavar="URL",
            help="PostgreSQL to use instead of the embedded one. AGENTMEM_DATABASE_URL hides it from other users.",
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", metavar="", help="Show where an error arose.")] = False,
    show_version: Annotated[  # noqa: ARG001  # its callback answers
        bool, typer.Option("--version", metavar="", callback=_show_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Memory for agents: remembers what was said, and gives back what matters now.

    Begin with `agentmem demo`, or remember and ask at once with `agentmem shell`.
    """
    _speak_utf8()
    given = {"data_directory": data_directory, "database_url": database_url}
    context.obj = Invocation(given={name: value for name, value in given.items() if value is not None}, debug=debug)


def _speak_utf8() -> None:
    """Read and write UTF-8 wherever we run; what it cannot say is escaped, and never ends the program."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8-sig", errors="surrogateescape")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


app.command(rich_help_panel=_START)(demo)
app.command(rich_help_panel=_START)(shell)
app.command(name="serve", rich_help_panel=_START)(serving.serve_)
app.command(rich_help_panel=_START)(serving.worker)
app.command(rich_help_panel=_REMEMBER)(writing.add)
app.command(rich_help_panel=_REMEMBER)(reading.search)
app.command(rich_help_panel=_REMEMBER)(reading.context)
app.command(name="list", rich_help_panel=_REMEMBER)(reading.list_)
app.command(rich_help_panel=_REMEMBER)(reading.get)
app.command(rich_help_panel=_REMEMBER)(reading.history)
app.command(rich_help_panel=_KEEP)(writing.update)
app.command(rich_help_panel=_KEEP)(writing.pin)
app.command(rich_help_panel=_KEEP)(writing.delete)
app.command(name="delete-all", rich_help_panel=_KEEP)(writing.delete_all)
app.command(rich_help_panel=_KEEP)(writing.restore)
app.command(rich_help_panel=_KEEP)(trusting.provenance)
app.command(rich_help_panel=_KEEP)(trusting.promote)
app.command(rich_help_panel=_KEEP)(trusting.taint)
app.command(rich_help_panel=_KEEP)(trusting.rollback)
app.command(name="import", rich_help_panel=_CARE)(moving.import_)
app.command(rich_help_panel=_CARE)(moving.export)
app.command(rich_help_panel=_CARE)(reading.stats)
app.command(rich_help_panel=_CARE)(reading.duplicates)
app.command(rich_help_panel=_CARE)(keeping.info)
app.command(rich_help_panel=_CARE)(keeping.doctor)
app.command(rich_help_panel=_CARE)(keeping.vacuum)
app.command(rich_help_panel=_CARE)(keeping.reembed)
app.command(rich_help_panel=_PLATFORM)(deploying.migrate)
app.command(rich_help_panel=_PLATFORM)(deploying.health)
app.add_typer(keys, rich_help_panel=_PLATFORM)
app.add_typer(networks, rich_help_panel=_PLATFORM)
app.add_typer(sso, rich_help_panel=_PLATFORM)
app.add_typer(organizations, rich_help_panel=_PLATFORM)
app.add_typer(accounts, rich_help_panel=_PLATFORM)
app.add_typer(sessions, rich_help_panel=_PLATFORM)
app.add_typer(signing_keys, rich_help_panel=_PLATFORM)
app.add_typer(invitations, rich_help_panel=_PLATFORM)
app.add_typer(policies.commands, rich_help_panel=_PLATFORM)
app.add_typer(audit.commands, rich_help_panel=_PLATFORM)
app.add_typer(backup.commands, rich_help_panel=_PLATFORM)
app.add_typer(encryption.commands, rich_help_panel=_PLATFORM)
app.add_typer(jobs.commands, rich_help_panel=_PLATFORM)
app.add_typer(factor_commands, rich_help_panel=_PLATFORM)
app.command(rich_help_panel=_PLATFORM)(jobs.instances)
app.add_typer(privacy.commands, rich_help_panel=_PLATFORM)
app.add_typer(webhook_commands, rich_help_panel=_PLATFORM)
