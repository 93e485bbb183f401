"""Commands that read memories."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from agentmem.entrypoints.cli import options, views
from agentmem.entrypoints.cli.output import emit, emit_text, give, remark, visible
from agentmem.entrypoints.cli.session import invocation
from agentmem.schemas.memories import Order, SearchMode, SearchResults


def search(
    context: typer.Context,
    query: options.Query,
    *,
    user: options.User = None,
    agent: options.Agent = None,
    run: options.Run = None,
    app: options.App = None,
    filters: options.Filters = None,
    min_authority: options.MinAuthority = None,
    as_of: options.AsOf = None,
    known_at: options.KnownAt = None,
    limit: options.Limit = 10,
    mode: options.Mode = SearchMode.HYBRID,
    explain: options.Explain = False,
    as_json: options.AsJson = False,
) -> None:
    """Find the memories that answer a question, best first."""
    view = options.view(options.scope(user, agent, run, app), filters, as_of, known_at, min_authority)
    with invocation(context).opened() as memory:
        results = memory.search(query, limit=limit, mode=mode, explain=explain, **view)
        give(results, views.hits(results.hits), as_json=as_json)
        _remark_on(results)


def context(
    context: typer.Context,
    query: options.Query,
    *,
    user: options.User = None,
    agent: options.Agent = None,
    run: options.Run = None,
    app: options.App = None,
    filters: options.Filters = None,
    min_authority: options.MinAuthority = None,
    as_of: options.AsOf = None,
    known_at: options.KnownAt = None,
    budget: Annotated[int, typer.Option("--budget", metavar="TOKENS", help="How many tokens at most.")] = 2000,
    as_json: options.AsJson = False,
) -> None:
    """Pack what answers a question into a text for a prompt."""
    view = options.view(options.scope(user, agent, run, app), filters, as_of, known_at, min_authority)
    with invocation(context).opened() as memory:
        packed = memory.context(query, budget=budget, **view)
        if as_json:
            emit(packed)
        else:
            emit_text(visible(packed.text) if sys.stdout.isatty() else packed.text)


def list_(
    context: typer.Context,
    *,
    user: options.User = None,
    agent: options.Agent = None,
    run: options.Run = None,
    app: options.App = None,
    filters: options.Filters = None,
    min_authority: options.MinAuthority = None,
    as_of: options.AsOf = None,
    known_at: options.KnownAt = None,
    order: options.Sorting = Order.NEWEST,
    limit: options.Limit = 20,
    cursor: options.Cursor = None,
    as_json: options.AsJson = False,
) -> None:
    """List memories in order, a page at a time."""
    view = options.view(options.scope(user, agent, run, app), filters, as_of, known_at, min_authority)
    with invocation(context).opened() as memory:
        page = memory.list(order=order, limit=limit, cursor=cursor, **view)
        give(page, views.memories(page.items), as_json=as_json)
        if page.next_cursor is not None and not as_json:
            remark(f"There are more: --cursor {page.next_cursor}")


def get(
    context: typer.Context,
    memory_id: options.MemoryId,
    *,
    as_of: options.AsOf = None,
    known_at: options.KnownAt = None,
    as_json: options.AsJson = False,
) -> None:
    """Show one memory whole."""
    with invocation(context).opened() as memory:
        record = memory.get(memory_id, as_of=as_of, known_at=known_at)
        give(record, views.facts(record), as_json=as_json)


def history(context: typer.Context, memory_id: options.MemoryId, *, as_json: options.AsJson = False) -> None:
    """Show every version of a memory, deleted or not."""
    with invocation(context).opened() as memory:
        versions = memory.history(memory_id)
        give(versions, views.history(versions), as_json=as_json)


def stats(
    context: typer.Context,
    *,
    user: options.User = None,
    agent: options.Agent = None,
    run: options.Run = None,
    app: options.App = None,
    as_json: options.AsJson = False,
) -> None:
    """Count the memories of a scope, or of the whole store."""
    with invocation(context).opened() as memory:
        counts = memory.stats(**options.scope(user, agent, run, app))
        give(counts, views.facts(counts), as_json=as_json)


def duplicates(
    context: typer.Context,
    *,
    threshold: Annotated[
        float, typer.Option("--threshold", metavar="0..1", help="How similar at least (cosine).")
    ] = 0.95,
    user: options.User = None,
    agent: options.Agent = None,
    run: options.Run = None,
    app: options.App = None,
    as_json: options.AsJson = False,
) -> None:
    """Find pairs of memories that say almost the same."""
    with invocation(context).opened() as memory:
        found = memory.duplicates(threshold=threshold, **options.scope(user, agent, run, app))
        give(found, views.duplicates(found), as_json=as_json)


def _remark_on(results: SearchResults) -> None:
    """Tell a person how long it took, and anybody when a part of the answer is missing."""
    if results.degraded is not None:
        remark(f"Answered without the {results.degraded}, which failed.")
    if sys.stdout.isatty() and results.hits:
        spent = results.timings
        remark(
            f"  {spent.total_ms:.1f} ms: embedding {spent.embed_ms:.1f}, database {spent.database_ms:.1f}, "
            f"ranking {spent.rank_ms:.1f}"
        )
