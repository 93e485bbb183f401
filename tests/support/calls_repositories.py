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
from uuid import uuid4

import numpy as np

from agentmem.features.audit import repository as audit
from agentmem.features.audit.model import Seal
from agentmem.features.identity import repository as keys
from agentmem.features.identity.accounts import guesses, mail_rows
from agentmem.features.identity.accounts import repository as people
from agentmem.features.identity.accounts.model import STRANGER
from agentmem.features.identity.sessions import repository as sign_ins
from agentmem.features.identity.sessions.model import Family
from agentmem.features.identity.sessions.service import end_all
from agentmem.features.memories import (
    classifying,
    erasing,
    index_reading,
    packing,
    provenance,
    repository,
    revising,
    rewriting,
    service,
    upkeep,
)
from agentmem.features.memories.index_writing import TermHashes, draw_lone_places, set_live, write_entries
from agentmem.features.memories.visibility import View
from agentmem.features.organizations import invitation_rows, member_rows, members
from agentmem.features.organizations import repository as organizations
from agentmem.foundation.authorization.caller import Limits
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import MemoryId
from agentmem.schemas.access import Role
from agentmem.schemas.classification import Classification
from agentmem.schemas.memories import MemoryPatch
from agentmem.schemas.policies import SessionPolicy
from tests.support import calls_events, calls_jobs, calls_privacy, calls_proofs
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


async def _reclassify(tx: Transaction, foreign: Foreign) -> None:
    restricted = classifying.Reclassified(classification=Classification.RESTRICTED)
    # What it gives is what it was called with.
    await classifying.reclassify(tx, foreign.latest, {MemoryId(foreign.live): restricted})


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
    **calls_proofs.DIRECT_CALLS,
    "audit.repository.entries_by_id": lambda tx, f: audit.entries_by_id(tx, f.entries),
    "audit.repository.unsealed_before": lambda tx, _: audit.unsealed_before(tx, tx.now + timedelta(days=1), 1000),
    "audit.repository.write_seal": _seal,
    "identity.repository.change_key": lambda tx, f: keys.change_key(tx, f.key_id, {"name": "renamed"}),
    "identity.repository.descendants": lambda tx, f: keys.descendants(tx, f.key_id),
    "identity.repository.fetch_chain": lambda tx, f: keys.fetch_chain(tx, f.key_id),
    "identity.accounts.guesses.forgive_guesses": lambda tx, _: guesses.forgive_guesses(tx, b"", STRANGER),
    "identity.accounts.guesses.lift_delays": lambda tx, _: guesses.lift_delays(tx, b""),
    "identity.accounts.mail_rows.drop_mails": lambda tx, f: mail_rows.drop_mails(tx, f.account_id),
    "identity.accounts.repository.change_account": lambda tx, f: people.change_account(tx, f.account, {}),
    "identity.accounts.repository.give_password": lambda tx, f: people.give_password(
        tx, f.account, "another hash", kept=0, values={}
    ),
    "identity.accounts.repository.remove_account": lambda tx, f: people.remove_account(tx, f.account_id),
    "identity.accounts.repository.replace_hash": lambda tx, f: people.replace_hash(tx, f.account_id, 1, "x"),
    "identity.sessions.repository.insert_family": lambda tx, f: sign_ins.insert_family(
        tx, uuid4(), f.opened.session, b"", SessionPolicy()
    ),
    "identity.sessions.repository.rotate_family": lambda tx, f: sign_ins.rotate_family(
        tx, _family(f), b"", keep_previous=False
    ),
    "identity.sessions.service.end_all": lambda tx, f: end_all(tx, f.account_id, "a test"),
    "memories.classifying.reclassify": _reclassify,
    "memories.erasing.remove_for_good": lambda tx, f: erasing.remove_for_good(tx, [f.live, f.deleted]),
    "memories.index_reading.read_visible_places": _places,
    "memories.index_writing.set_live": lambda tx, f: set_live(tx, f.places, live=False),
    "memories.index_writing.write_entries": lambda tx, f: write_entries(tx, f.seen, TermHashes(tx)),
    "memories.packing.strip": _strip,
    "memories.provenance.fetch_provenance": lambda tx, f: provenance.fetch_provenance(tx, f.latest[0]),
    "memories.provenance.forget_provenance": lambda tx, f: provenance.forget_provenance(tx, [f.live, f.deleted]),
    "memories.repository.close_versions": lambda tx, f: repository.close_versions(tx, [f.live, f.deleted]),
    "memories.revising.succeed_with": _revise,
    "memories.rewriting.move_texts": _move,
    "memories.rewriting.remove_postings": lambda tx, f: rewriting.remove_postings(tx, f.places),
    "memories.service.end": lambda tx, f: service.end(tx, f.latest),
    "memories.upkeep.follow_memories": lambda tx, f: upkeep.follow_memories(tx, f.places),
    "organizations.invitation_rows.keep_invitation_code": lambda tx, f: invitation_rows.keep_invitation_code(
        tx, f.invitation_id, "x"
    ),
    "organizations.invitation_rows.remove_invitation": lambda tx, f: invitation_rows.remove_invitation(
        tx, f.invitation_id
    ),
    "organizations.members.keep_one": lambda tx, f: members.keep_one(tx, f.member),
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


def _family(foreign: Foreign) -> Family:
    """Give somebody else's refresh tokens as its row would be read."""
    session = foreign.opened.session
    return Family(
        family_id=foreign.opened.refresh.family_id,
        session_id=session.session_id,
        account_id=session.account_id,
        current_mac=b"",
        previous_mac=None,
        rotated_at=session.authenticated_at,
        generation=1,
        grace=session.idle,
        idle=session.idle,
        idle_until=session.expires_at,
        expires_at=session.expires_at,
        ended=False,
    )


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
