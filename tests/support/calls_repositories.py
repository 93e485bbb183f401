"""Functions of the features that take a transaction; and those that no operation reaches with the ids of another
organization, each called straight with them.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import CodeType, FrameType

import numpy as np

from agentmem.features.audit import repository as audit
from agentmem.features.audit.model import Seal
from agentmem.features.identity import repository as keys
from agentmem.features.memories import index_reading, packing, repository, revising, rewriting, service, upkeep
from agentmem.features.memories.index_writing import TermHashes, draw_lone_places, set_live, write_entries
from agentmem.features.memories.visibility import View
from agentmem.features.organizations import member_rows
from agentmem.features.organizations import repository as organizations
from agentmem.foundation.authorization.caller import Limits
from agentmem.foundation.database.transaction import Transaction
from agentmem.schemas.access import Role
from agentmem.schemas.memories import MemoryPatch
from tests.support import calls_events, calls_jobs, calls_privacy
from tests.support.foreign import Foreign
from tests.support.operations import service_modules

DirectCall = Callable[[Transaction, Foreign], Awaitable[object]]


async def _revise(tx: Transaction, foreign: Foreign) -> object:
    revisions = [
        revising.Revision(current=version, patch=MemoryPatch(content="x"), prepared=foreign.prepared)
        for version in foreign.latest
    ]
    return await revising.succeed_with(tx, revisions)


async def _move(tx: Transaction, foreign: Foreign) -> object:
    lone = await draw_lone_places(tx, len(foreign.places))
    await rewriting.move_texts(tx, dict(zip(foreign.places, lone, strict=True)))
    return lone


async def _strip(tx: Transaction, foreign: Foreign) -> object:
    return await packing.strip(tx, np.array(foreign.places, np.int64))


async def _places(tx: Transaction, foreign: Foreign) -> object:
    places = await index_reading.read_visible_places(tx, View(), None)
    return None if places is None else places.tolist()


def _seal(tx: Transaction, foreign: Foreign) -> Awaitable[object]:
    seal = Seal(seal_no=7, sealed_at=tx.now, entries=foreign.entries, previous=b"", digest=b"")
    return audit.write_seal(tx, seal)


DIRECT_CALLS: dict[str, DirectCall] = {
    **calls_events.DIRECT_CALLS,
    **calls_jobs.DIRECT_CALLS,
    **calls_privacy.DIRECT_CALLS,
    "audit.repository.entries_by_id": lambda tx, f: audit.entries_by_id(tx, f.entries),
    "audit.repository.unsealed_before": lambda tx, _: audit.unsealed_before(tx, tx.now + timedelta(days=1), 1000),
    "audit.repository.write_seal": _seal,
    "identity.repository.change_key": lambda tx, f: keys.change_key(tx, f.key_id, {"name": "renamed"}),
    "identity.repository.descendants": lambda tx, f: keys.descendants(tx, f.key_id),
    "identity.repository.fetch_chain": lambda tx, f: keys.fetch_chain(tx, f.key_id),
    "memories.index_reading.read_visible_places": _places,
    "memories.index_writing.set_live": lambda tx, f: set_live(tx, f.places, live=False),
    "memories.index_writing.write_entries": lambda tx, f: write_entries(tx, f.seen, TermHashes(tx)),
    "memories.packing.strip": _strip,
    "memories.repository.close_versions": lambda tx, f: repository.close_versions(tx, [f.live, f.deleted]),
    "memories.revising.succeed_with": _revise,
    "memories.rewriting.move_texts": _move,
    "memories.rewriting.remove_postings": lambda tx, f: rewriting.remove_postings(tx, f.places),
    "memories.service.end": lambda tx, f: service.end(tx, f.latest),
    "memories.upkeep.follow_memories": lambda tx, f: upkeep.follow_memories(tx, f.places),
    "organizations.member_rows.change_member": lambda tx, f: member_rows.change_member(
        tx, f.member, {"name": "renamed"}, None
    ),
    "organizations.member_rows.count_enabled": lambda tx, _: member_rows.count_enabled(tx, Role.OWNER),
    "organizations.repository.insert_organization": lambda tx, _: organizations.insert_organization(
        tx, "renamed", Limits()
    ),
}
"""Functions that operations call only once they have found what they were asked for, and what they ask seldom."""

REGISTERING = frozenset({"organizations.repository.insert_keys"})
"""What registration alone calls: it writes the first rows of a new organization, whose id they carry."""


def functions() -> dict[CodeType, str]:
    """Find every public function of the features that works with a transaction bound to an organization."""
    return {
        value.__code__: f"{module.__name__.removeprefix('agentmem.features.')}.{name}"
        for module in service_modules()
        for name, value in inspect.getmembers(module, inspect.isfunction)
        if value.__module__ == module.__name__ and not name.startswith("_") and _takes_a_transaction(value)
    }


def _takes_a_transaction(function: Callable[..., object]) -> bool:
    if not (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)):
        return False
    first = next(iter(inspect.signature(function).parameters.values()), None)
    return first is not None and str(first.annotation) in {
        "Transaction",
        "AnyTransaction",
        "Transaction | SystemTransaction",
    }


@contextmanager
def called() -> Iterator[set[str]]:
    """Note which of these functions are called inside the block."""
    known, seen = functions(), set[str]()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code in known:
            seen.add(known[frame.f_code])

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield seen
    finally:
        sys.setprofile(before)
