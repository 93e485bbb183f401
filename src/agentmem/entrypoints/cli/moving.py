"""Commands that carry memories in and out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from agentmem.entrypoints.cli import options
from agentmem.entrypoints.cli.output import emit_text, give
from agentmem.entrypoints.cli.progress import progress
from agentmem.entrypoints.cli.session import invocation
from agentmem.errors import ImportFailed

_CHUNK: Final = 1024 * 1024


def import_(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="Where the lines are; - is standard input.")],
    *,
    user: options.User = None,
    agent: options.Agent = None,
    run: options.Run = None,
    app: options.App = None,
    kind: options.MemoryKind = None,
    metadata: options.Metadata = None,
    occurred_at: options.OccurredAt = None,
    expires_at: options.ExpiresAt = None,
    importance: options.Importance = None,
    pinned: options.Pinned = None,
    classification: options.Classified = None,
    as_json: options.AsJson = False,
) -> None:
    """Read JSON lines: an export, texts, messages or memories.

    The options hold where a line does not say otherwise.
    """
    if str(source) != options.STANDARD_INPUT and _is_missing(source):
        raise typer.BadParameter(f"There is no file {str(source)!r}.", param_hint="FILE")
    given = options.attributes(
        options.scope(user, agent, run, app),
        kind=kind,
        metadata=options.metadata_of(metadata),
        occurred_at=occurred_at,
        expires_at=expires_at,
        importance=importance,
        pinned=pinned,
        classification=classification,
    )
    with invocation(context).opened() as memory:
        with progress("Importing", _count_lines(source)) as done:
            counts = memory.import_(_lines(source), progress=done, **given)
        give(counts, f"{counts.imported} imported, {counts.skipped} known already.", as_json=as_json)


def export(
    context: typer.Context,
    *,
    user: options.User = None,
    agent: options.Agent = None,
    run: options.Run = None,
    app: options.App = None,
    as_json: Annotated[  # noqa: ARG001  # every command has it
        bool, typer.Option("--json", metavar="", help="Changes nothing: an export is JSON lines.")
    ] = False,
) -> None:
    """Write memories with their histories as JSON lines, without loss."""
    with invocation(context).opened() as memory:
        for line in memory.export(**options.scope(user, agent, run, app)):
            emit_text(line)


def _is_missing(source: Path) -> bool:
    try:
        return source.is_dir() or not source.exists()
    except OSError:  # it may be there, and reading it says what is wrong
        return False


def _lines(source: Path) -> Iterator[str]:
    """Read a file or standard input line by line; raises :class:`ImportFailed` when it cannot be read."""
    try:
        if str(source) == options.STANDARD_INPUT:
            yield from sys.stdin
            return
        # Bytes that are no UTF-8 reach the library as lone surrogates, and it says which line holds them.
        with source.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
            yield from lines
    except OSError as error:
        raise ImportFailed(
            f"{str(source)!r} cannot be read: {error.strerror}.",
            hint="The batches before the fault are stored: import again when it can be read.",
        ) from None


def _count_lines(source: Path) -> int | None:
    """Count the lines of a file for the progress bar; a pipe cannot be read twice."""
    try:
        if not source.is_file():
            return None
        with source.open("rb") as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(_CHUNK), b""))
    except OSError:  # reading the lines says what is wrong
        return None
