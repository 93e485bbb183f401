"""How answers of the library look to a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Final

from pydantic import BaseModel

from agentmem.entrypoints.cli.output import Column, Facts, Sheet
from agentmem.schemas.health import Finding, HealthReport, StoreInfo, Vacuumed
from agentmem.schemas.memories import Change, MemoryRecord, NearDuplicate, SearchHit, Signal

_WHEN: Final = Column(name="When (UTC)", style="cyan")
_WHO: Final = Column(name="Who", style="green")
_MEMORY: Final = Column(name="Memory", grows=True)
_ID: Final = Column(name="Id", below=True)
_NUMBER: Final = Column(name="#", right=True, style="bright_black")

_MEBIBYTE: Final = 1024 * 1024

_REASONS: Final[Mapping[str, str]] = {
    "words": "same words",
    "words_around": "same words",
    "pieces": "similar words",
    "pieces_around": "similar words",
    "thread": "conversation",
    "meaning": "meaning",
    "speaker": "speaker",
    "first_speaker": "speaker",
    "answers": "reply",
    "asks": "reply",
    "length": "length",
    "tells_when": "time",
    "date": "time",
    "mention": "time",
}
"""What each signal of a search looks at, in words."""


def clock(moment: datetime | None) -> str:
    """Write a time to the minute."""
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def speaker(memory: MemoryRecord) -> str:
    """Say who said a memory; empty for a text that nobody said."""
    return memory.actor or (memory.role.value if memory.role else "")


def reasons(signals: Mapping[str, Signal] | None, most: int = 3) -> str:
    """Say in words what found a memory, each reason with its share of the score, the weightiest first."""
    weights: dict[str, float] = {}
    for name, signal in (signals or {}).items():
        if signal.contribution > 0:
            reason = _REASONS.get(name, name.replace("_", " "))
            weights[reason] = weights.get(reason, 0.0) + signal.contribution
    shares = {reason: round(100 * weight / sum(weights.values())) for reason, weight in weights.items()}
    named = sorted(shares.items(), key=lambda item: -item[1])
    return ", ".join(f"{reason} {share}%" for reason, share in named[:most] if share)


def memories(records: Sequence[MemoryRecord]) -> Sheet:
    """Show memories as a list."""
    return Sheet(
        columns=[_NUMBER, _WHEN, _WHO, _MEMORY, _ID],
        rows=[
            (str(number), clock(record.occurred_at), speaker(record), record.content, str(record.id))
            for number, record in enumerate(records, 1)
        ],
        nothing="No memories.",
    )


def hits(found: Sequence[SearchHit]) -> Sheet:
    """Show what a search found, best first, with the reasons if they were asked for."""
    why = [Column(name="Why", below=True)] if any(hit.signals is not None for hit in found) else []
    return Sheet(
        columns=[_NUMBER, Column(name="Score", right=True, style="yellow"), _WHEN, _WHO, _MEMORY, *why, _ID],
        rows=[
            (
                str(number),
                f"{hit.score:.2f}",
                clock(hit.memory.occurred_at),
                speaker(hit.memory),
                hit.memory.content,
                *([reasons(hit.signals)] if why else []),
                str(hit.memory.id),
            )
            for number, hit in enumerate(found, 1)
        ],
        nothing="Nothing was found.",
    )


def history(versions: Sequence[Change]) -> Sheet:
    """Show the versions of a memory, oldest first."""
    return Sheet(
        columns=[
            Column(name="Version", right=True),
            Column(name="When (UTC)", style="cyan"),
            Column(name="Change", style="green"),
            Column(name="By"),
            _MEMORY,
        ],
        rows=[
            (str(one.version), clock(one.changed_at), one.change, one.changed_by, one.memory.content)
            for one in versions
        ],
        nothing="It has no history.",
    )


def duplicates(found: Sequence[NearDuplicate]) -> Sheet:
    """Show pairs that say almost the same."""
    return Sheet(
        columns=[
            Column(name="Similarity", right=True, style="yellow"),
            _MEMORY,
            _ID,
            Column(name="And", grows=True),
            _ID,
        ],
        rows=[
            (f"{pair.similarity:.3f}", pair.first.content, str(pair.first.id), pair.second.content, str(pair.second.id))
            for pair in found
        ],
        nothing="No near-duplicates.",
    )


def info(found: StoreInfo) -> Facts:
    """Show what runs where."""
    versions = found.versions
    length = f"{found.embedding_dimensions} dimensions" if found.embedding_dimensions else "cannot be loaded"
    model = f"{found.embedding_model}, {length}"
    pairs = [
        ("AgentMem", versions.agentmem),
        ("Python", versions.python),
        ("PostgreSQL", f"{versions.postgresql}, {found.server}"),
        ("pgvector", versions.pgvector),
        ("schema", versions.schema_revision),
        ("data directory", found.data_directory or ""),
        ("socket", found.socket_directory or ""),
        ("organization", found.organization),
        ("model", model),
        ("memories", f"{found.memories:,}"),
        ("deleted", f"{found.deleted_memories:,}"),
        ("versions", f"{found.memory_versions:,}"),
        ("users", f"{found.users:,}"),
        ("pending vectors", f"{found.pending_vectors:,}"),
        ("size", size(found.database_bytes)),
        ("keys", f"{len(found.keys)}, from {found.key_provider}"),
    ]
    return Facts(pairs=[(name, value) for name, value in pairs if value])


def health(report: HealthReport) -> Facts:
    """Show what the doctor saw, and each thing that is wrong."""
    pairs = [
        ("healthy", written(report.healthy)),
        ("memories", f"{report.memories:,}"),
        ("versions", f"{report.versions:,}"),
        ("indexed texts", f"{report.places:,}"),
        ("pending vectors", f"{report.pending_vectors:,}"),
        ("vectors compared", f"{report.vectors_compared:,}"),
        *((f"repaired: {found.code}", _finding(found)) for found in report.repaired),
        *((f"wrong: {found.code}", _finding(found)) for found in report.findings),
    ]
    if any(found.repairable for found in report.findings):
        pairs.append(("what to do", "agentmem doctor --repair"))
    return Facts(pairs=pairs)


def _finding(found: Finding) -> str:
    return found.what if found.memory_id is None else f"{found.what} (memory {found.memory_id})"


def vacuumed(done: Vacuumed) -> Facts:
    """Show what was cleared away."""
    return Facts(
        pairs=[
            ("memories removed", f"{done.purged_memories:,}"),
            ("idempotency keys removed", f"{done.removed_idempotency_keys:,}"),
            ("words packed", f"{done.packed_terms:,}"),
            ("vectors moved to the graph", f"{done.vectors_moved_to_graph:,}"),
            ("size before", size(done.bytes_before)),
            ("size now", size(done.bytes_after)),
        ]
    )


def size(count: int) -> str:
    """Write a number of bytes."""
    return f"{count / _MEBIBYTE:,.1f} MiB"


def facts(value: BaseModel) -> Facts:
    """Show every field of a value that holds something, by its name."""
    return Facts(pairs=list(_pairs(value.model_dump(), "")))


def _pairs(values: Mapping[str, object], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        label = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, Mapping):
            yield from _pairs(value, f"{label}: ")
        elif isinstance(value, list | tuple):
            for number, item in enumerate(value):
                if isinstance(item, Mapping):
                    yield label if number == 0 else "", ", ".join(f"{key} {inner}" for key, inner in item.items())
                else:
                    yield label if number == 0 else "", written(item)
        elif value is not None:
            yield label, written(value)


def written(value: object) -> str:
    """Write one value for a person."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
