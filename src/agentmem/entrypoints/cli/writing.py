"""Commands that change memories."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from agentmem.entrypoints.cli import options, views
from agentmem.entrypoints.cli.output import counted, give
from agentmem.entrypoints.cli.progress import progress
from agentmem.entrypoints.cli.session import invocation
from agentmem.errors import InvalidInput
from agentmem.schemas.keywords import ScopeKeywords
from agentmem.schemas.memories import Added


def add(
    context: typer.Context,
    texts: Annotated[list[str], typer.Argument(metavar="TEXT", help="What to remember; - is standard input.")],
    *,
    lines: Annotated[
        bool, typer.Option("--lines", metavar="", help="Each line of standard input is a memory.")
    ] = False,
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
    role: options.SpeakerRole = None,
    actor: options.Speaker = None,
    on_duplicate: options.Duplicates = None,
    idempotency_key: Annotated[
        str | None, typer.Option("--idempotency-key", metavar="TEXT", help="Add once, however often it is asked.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Remember a text, or several."""
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
    said = {name: value for name, value in (("role", role), ("actor", actor)) if value is not None}
    items = ({**said, "content": text} if said else text for text in _contents(texts, lines=lines))
    with invocation(context).opened() as memory:
        if lines:
            with progress("Remembering", None) as done:
                many = memory.add_many(items, progress=done, on_duplicate=on_duplicate, **given)
            give(many, f"{many.added} remembered, {many.duplicates} known already.", as_json=as_json)
            return
        added = memory.add(list(items), idempotency_key=idempotency_key, on_duplicate=on_duplicate, **given)
        give(added, _told(added), as_json=as_json)


def update(
    context: typer.Context,
    memory_id: options.MemoryId,
    *,
    content: Annotated[
        str | None, typer.Option("--content", metavar="TEXT", help="What it says now; - is standard input.")
    ] = None,
    kind: options.MemoryKind = None,
    metadata: options.Metadata = None,
    occurred_at: options.OccurredAt = None,
    expires_at: options.ExpiresAt = None,
    no_expiry: Annotated[
        bool, typer.Option("--no-expiry", metavar="", help="Do not forget it by itself any more.")
    ] = False,
    importance: options.Importance = None,
    pinned: options.Pinned = None,
    classification: options.Classified = None,
    if_version: Annotated[
        int | None, typer.Option("--if-version", metavar="N", help="Only if it is still at this version.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Change a memory; what it was stays in its history."""
    call = invocation(context)
    with call.guarded():
        text = None if content is None else next(_contents([content], lines=False))
    changes = options.changes(
        content=text,
        kind=kind,
        metadata=options.metadata_of(metadata),
        occurred_at=occurred_at,
        expires_at=expires_at,
        importance=importance,
        pinned=pinned,
        classification=classification,
    )
    if no_expiry:
        changes["expires_at"] = None
    with call.opened() as memory:
        if not changes:
            raise InvalidInput("There is nothing to change.", hint="Say what, for example with --content.")
        changed = memory.update(memory_id, if_version=if_version, **changes)
        give(changed, views.facts(changed), as_json=as_json)


def pin(
    context: typer.Context,
    memory_id: options.MemoryId,
    *,
    undo: Annotated[bool, typer.Option("--undo", metavar="", help="Unpin it.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Pin a memory, or unpin it."""
    with invocation(context).opened() as memory:
        changed = memory.pin(memory_id, pinned=not undo)
        give(changed, f"{'Unpinned' if undo else 'Pinned'}: {changed.content}", as_json=as_json)


def delete(context: typer.Context, memory_id: options.MemoryId, *, as_json: options.AsJson = False) -> None:
    """Delete a memory; `restore` brings it back."""
    with invocation(context).opened() as memory:
        memory.delete(memory_id)
        give({"deleted": 1}, f"Deleted; `agentmem restore {memory_id}` brings it back.", as_json=as_json)


def delete_all(
    context: typer.Context,
    *,
    user: options.User = None,
    agent: options.Agent = None,
    run: options.Run = None,
    app: options.App = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", metavar="", help="Do not ask.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Delete all memories of a user, agent, run or application."""
    whose = options.scope(user, agent, run, app)
    ask = any(whose.values()) and not yes
    if ask and not sys.stdin.isatty():
        raise typer.BadParameter("There is nobody to ask; say --yes.", param_hint="--yes")
    with invocation(context).opened() as memory:
        if ask:
            _confirm(whose, memory.stats(**whose).memories)
        deleted = memory.delete_all(**whose)
        give(deleted, f"{deleted.deleted} deleted.", as_json=as_json)


def restore(context: typer.Context, memory_id: options.MemoryId, *, as_json: options.AsJson = False) -> None:
    """Bring a deleted memory back."""
    with invocation(context).opened() as memory:
        restored = memory.restore(memory_id)
        give(restored, views.memories([restored]), as_json=as_json)


def _contents(texts: list[str], *, lines: bool) -> Iterator[str]:
    """Give each text; ``-`` stands for what is read from standard input, whole or line by line."""
    try:
        for text in texts:
            if text != options.STANDARD_INPUT:
                yield text
            elif lines:
                yield from (line for line in map(str.strip, sys.stdin) if line)
            else:
                yield sys.stdin.read().strip()
    except OSError as error:
        raise InvalidInput(f"Standard input cannot be read: {error.strerror}.") from None


def _told(added: Added) -> str:
    rows = [f"{'known' if one.id in added.duplicates else 'remembered'}  {one.id}" for one in added.memories]
    waiting = ["The model did not answer: found by words until it is back."] if added.pending else []
    return "\n".join([*rows, *waiting])


def _confirm(whose: ScopeKeywords, count: int) -> None:
    ids = ", ".join(f"{name.removesuffix('_id')} {value}" for name, value in whose.items() if value)
    typer.confirm(f"Delete {counted(count, 'memory', 'memories')} of {ids}?", abort=True, err=True)
