"""The options that commands share: one spelling, one help text."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, cast

import typer

from agentmem.schemas.classification import Classification
from agentmem.schemas.keywords import MemoryKeywords, PatchKeywords, ScopeKeywords, ViewKeywords
from agentmem.schemas.memories import Kind, OnDuplicate, Order, Origin, Role, SearchMode

STANDARD_INPUT = "-"
"""Stands for standard input where a file or a text is asked for."""

_SCOPE = "Whose memories"
_VIEW = "Which memories"
_ATTRIBUTES = "What is said about it"


def moment(written: str) -> datetime:
    """Read a date or time of ISO 8601; without a zone it is UTC."""
    try:
        return datetime.fromisoformat(written.strip())
    except ValueError:
        raise typer.BadParameter(f"{written!r} is no time; write 2024-05-08 or 2024-05-08T14:30Z.") from None


def json_object(written: str) -> dict[str, object]:
    """Read a JSON object."""
    try:
        value = json.loads(written)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise typer.BadParameter("This is no JSON object.")
    return value


User = Annotated[str | None, typer.Option("--user", metavar="ID", help="Of this user.", rich_help_panel=_SCOPE)]
Agent = Annotated[str | None, typer.Option("--agent", metavar="ID", help="Of this agent.", rich_help_panel=_SCOPE)]
Run = Annotated[
    str | None, typer.Option("--run", metavar="ID", help="Of this run or conversation.", rich_help_panel=_SCOPE)
]
App = Annotated[str | None, typer.Option("--app", metavar="ID", help="Of this application.", rich_help_panel=_SCOPE)]

Filters = Annotated[
    dict[str, object] | None,
    typer.Option(
        "--filters", metavar="JSON", parser=json_object, rich_help_panel=_VIEW,
        help='A filter as a JSON object, such as \'{"kind": "semantic"}\'.',
    ),
]  # fmt: skip
MinAuthority = Annotated[
    Origin | None,
    typer.Option("--min-authority", rich_help_panel=_VIEW, help="Only what is trusted so far at least."),
]
AsOf = Annotated[
    datetime | None,
    typer.Option(
        "--as-of", metavar="TIME", parser=moment, rich_help_panel=_VIEW, help="What was true at this time; else now."
    ),
]
KnownAt = Annotated[
    datetime | None,
    typer.Option(
        "--known-at", metavar="TIME", parser=moment, rich_help_panel=_VIEW,
        help="What the store knew at this time; else now.",
    ),
]  # fmt: skip

MemoryKind = Annotated[
    Kind | None,
    typer.Option(
        "--kind",
        metavar="KIND",
        help=f"What sort of knowledge it is: {', '.join(Kind)}.",
        rich_help_panel=_ATTRIBUTES,
    ),
]
Metadata = Annotated[
    list[str] | None,
    typer.Option(
        "--metadata", metavar="KEY=VALUE", rich_help_panel=_ATTRIBUTES,
        help="A key with a text value, or a JSON object; may be repeated.",
    ),
]  # fmt: skip
OccurredAt = Annotated[
    datetime | None,
    typer.Option(
        "--occurred-at", metavar="TIME", parser=moment, rich_help_panel=_ATTRIBUTES,
        help="When it was said or true, such as 2024-05-08T14:30Z.",
    ),
]  # fmt: skip
ExpiresAt = Annotated[
    datetime | None,
    typer.Option(
        "--expires-at", metavar="TIME", parser=moment, rich_help_panel=_ATTRIBUTES,
        help="When it is to be forgotten.",
    ),
]  # fmt: skip
Importance = Annotated[
    float | None,
    typer.Option("--importance", metavar="0..1", help="How much it matters.", rich_help_panel=_ATTRIBUTES),
]
Pinned = Annotated[
    bool | None,
    typer.Option("--pinned/--not-pinned", metavar="", help="Whether it is pinned.", rich_help_panel=_ATTRIBUTES),
]
Classified = Annotated[
    Classification | None,
    typer.Option(
        "--classification",
        metavar="CLASS",
        help=f"How it may be handled: {', '.join(Classification)}.",
        rich_help_panel=_ATTRIBUTES,
    ),
]
Speaker = Annotated[
    str | None,
    typer.Option("--actor", metavar="NAME", help="The name of who said it.", rich_help_panel=_ATTRIBUTES),
]
SpeakerRole = Annotated[
    Role | None,
    typer.Option("--role", metavar="ROLE", help=f"Who said it: {', '.join(Role)}.", rich_help_panel=_ATTRIBUTES),
]

Duplicates = Annotated[
    OnDuplicate | None,
    typer.Option("--on-duplicate", help="Give what is there already, or keep both; texts return it by default."),
]
Query = Annotated[str, typer.Argument(metavar="QUERY", help="A question, or some words.")]
MemoryId = Annotated[str, typer.Argument(metavar="ID", help="The id of a memory.")]
Limit = Annotated[int, typer.Option("--limit", metavar="N", help="How many at most.")]
Mode = Annotated[SearchMode, typer.Option("--mode", help="By words and meaning, words alone, or meaning alone.")]
Explain = Annotated[bool, typer.Option("--explain", metavar="", help="Say why each was found.")]
Sorting = Annotated[Order, typer.Option("--order", help="How the list is sorted.")]
Cursor = Annotated[str | None, typer.Option("--cursor", metavar="TEXT", help="Where the page before ended.")]
AsJson = Annotated[bool, typer.Option("--json", metavar="", help="Write JSON for programs.")]


def scope(user: str | None, agent: str | None, run: str | None, app: str | None) -> ScopeKeywords:
    """Gather the ids of a scope."""
    return ScopeKeywords(user_id=user, agent_id=agent, run_id=run, app_id=app)


def view(
    whose: ScopeKeywords,
    filters: dict[str, object] | None,
    as_of: datetime | None,
    known_at: datetime | None,
    min_authority: Origin | None,
) -> ViewKeywords:
    """Gather what a read looks at."""
    return ViewKeywords(**whose, filters=filters, as_of=as_of, known_at=known_at, min_authority=min_authority)


def attributes(whose: ScopeKeywords, **given: object) -> MemoryKeywords:
    """Gather what is said about new memories, without what was not given."""
    return cast("MemoryKeywords", {**whose, **_given(given)})


def changes(**given: object) -> PatchKeywords:
    """Gather what an update changes, without what was not given."""
    return cast("PatchKeywords", _given(given))


def metadata_of(written: list[str] | None) -> dict[str, object] | None:
    """Join what several options say about metadata; later ones win."""
    return {key: value for part in written for key, value in _pairs(part).items()} if written else None


def _given(values: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


def _pairs(written: str) -> dict[str, object]:
    """Read ``key=value``, whose value is text, or a JSON object."""
    if written.lstrip().startswith("{"):
        return json_object(written)
    key, equals, value = written.partition("=")
    if not equals or not key:
        raise typer.BadParameter(f"{written!r} is neither key=value nor a JSON object.", param_hint="--metadata")
    return {key: value}
