"""Memories as the repository writes and reads them, and the pure rules about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentmem.errors import InvalidInput, PermissionDenied
from agentmem.features.memories.index_entry import IndexEntry
from agentmem.foundation.authorization.caller import Caller, Permission
from agentmem.kit.ids import MemoryId, Place
from agentmem.schemas.memories import Kind, MemoryRecord, NewMemory, OnDuplicate, Origin

POSITION_BITS: Final = 20
ALONE: Final = 0
"""The position of a memory that has no neighbours."""

FIRST_POSITION: Final = 16
LAST_POSITION: Final = (1 << POSITION_BITS) - 1
WINDOW: Final = 2
"""How many turns before and after a turn count as its neighbours."""

INSTANT: Final = timedelta(microseconds=1)
"""By how much the times of two versions of a memory differ at least: the smallest step of a stored time."""

RUN_TURNS: Final = LAST_POSITION - FIRST_POSITION - WINDOW


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedMemory:
    """A new memory, analysed and embedded, ready to be written.

    ``thread`` numbers the conversations of one call: turns without a ``run_id`` that share it are neighbours.
    ``vector`` is absent, and ``model`` empty, when the embedder failed; the memory is then found by its words until the
    embedder is back.
    """

    memory_id: MemoryId
    new: NewMemory
    thread: int
    entry: IndexEntry
    vector: NDArray[np.float32] | None
    model: str
    on_duplicate: OnDuplicate


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredVersion:
    """One version of a memory with the place by which the indexes know its content."""

    record: MemoryRecord
    place: Place
    change: str
    changed_by: str


def texts_of(versions: Iterable[MemoryRecord]) -> list[list[MemoryRecord]]:
    """Group the versions of a memory, oldest first, by what is indexed of them: each group is one text at one place."""
    return [list(same) for _, same in groupby(versions, lambda v: (v.content, v.actor, v.user_id, v.occurred_at))]


def rising(records: Iterable[MemoryRecord]) -> Iterator[MemoryRecord]:
    """Give the versions of a memory, oldest first, each later than the one before it, whatever wrote them."""
    earlier: MemoryRecord | None = None
    for record in records:
        if earlier is None or record.updated_at > earlier.updated_at:
            earlier = record
        else:
            earlier = record.model_copy(update={"updated_at": earlier.updated_at + INSTANT})
        yield earlier


def make_place(session_no: int, position: int) -> Place:
    """Number a turn so that turns of one session are consecutive and those of two sessions never adjacent."""
    if position != ALONE and not FIRST_POSITION <= position <= LAST_POSITION - WINDOW:
        raise InvalidInput(
            f"A run holds at most {RUN_TURNS} turns, and this one is full.", hint="Go on with a new run_id."
        )
    return Place(session_no << POSITION_BITS | position)


def is_alone(place: Place) -> bool:
    """Tell whether a place is one that nothing is near to."""
    return place & LAST_POSITION == ALONE


def can_hold(places: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say which places can hold a memory; those beside a lone memory or before a session's first turn cannot."""
    position = places & LAST_POSITION
    held: NDArray[np.bool_] = (position == ALONE) | (
        (position >= FIRST_POSITION) & (position <= LAST_POSITION - WINDOW)
    )
    return held


INSTRUCTIONS: Final = frozenset({Kind.PROCEDURAL, Kind.CORE})
"""Kinds of memories that an agent does as they say, or always has before it."""

FOREIGN: Final = frozenset({Origin.TOOL, Origin.EXTERNAL})
"""Origins of what nobody who is known has said."""


def require_standing(caller: Caller, record: MemoryRecord) -> None:
    """Raise :class:`PermissionDenied` where content of tools or strangers would become an instruction, or everybody's.

    An instruction must be promoted first; so must what was imported, unless by somebody who may promote. What belongs
    to no user and no run is shared: only who may promote stores such content there.
    """
    may = Permission.MEMORY_PROMOTE in caller.permissions
    untrusted = record.authority in FOREIGN
    if record.kind in INSTRUCTIONS and (untrusted or (record.authority is Origin.IMPORT and not may)):
        raise PermissionDenied(
            f"Content of the authority {record.authority.value} cannot be of the kind {record.kind.value}.",
            hint="Store it as another kind; after a promotion by somebody with memory:promote it can be changed.",
        )
    if untrusted and record.user_id is None and record.run_id is None and not may:
        raise PermissionDenied(
            f"Content of the authority {record.authority.value} cannot be shared by all users.",
            hint="Name the user_id or the run_id that it belongs to.",
        )


def origin_of(caller: Caller, new: NewMemory) -> Origin:
    """Say where a new memory comes from: the least trusted of its role, its writer, and what the writer names."""
    said_by = Origin.AGENT if new.role == "assistant" else Origin.TOOL if new.role == "tool" else Origin.OPERATOR
    named = None if new.source is None else new.source.origin
    return lowest_authority([said_by, caller.origin, named or said_by])


def is_higher(one: Origin, other: Origin) -> bool:
    """Tell whether one authority is trusted further than another."""
    ranks = list(Origin)
    return ranks.index(one) < ranks.index(other)


def lowest_authority(origins: Iterable[Origin]) -> Origin:
    """Give the least trusted of the origins: what a memory derived from all of them may claim."""
    ranks = list(Origin)
    return max(origins, key=ranks.index)
