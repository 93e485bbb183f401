"""Two organizations behind one server: one that is attacked, full of a canary, and one that attacks it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4

import httpx

from agentmem import AsyncMemory
from agentmem.bootstrap import App
from agentmem.entrypoints.api.serving import Served
from agentmem.foundation.state.port import State
from agentmem.schemas.memories import NewMemory
from tests.support.api_matrix import ApiOperation
from tests.support.foreign import Foreign, foreign_of
from tests.support.served import client, key_of, served_by
from tests.support.stores import Owner, Store
from tests.support.walls import app_over, row_security_off, unfiltered_database

CANARY: Final = "kingfisher-canary"
WALLS: Final = ("both walls", "no row security", "no conditions")
PLACES: Final = ("user_id", "agent_id", "run_id", "app_id")
KINDS: Final = ("agents", "runs", "apps")


@dataclass(frozen=True, kw_only=True)
class Twins:
    """The organization that is attacked, with all its ids, and the one that attacks it through the server."""

    victim: AsyncMemory
    foreign: Foreign
    theirs: httpx.AsyncClient
    mine: httpx.AsyncClient
    attacker: AsyncMemory

    @property
    def ids(self) -> dict[str, str]:
        """Every id of the victim by the name that a request has for it."""
        known = self.foreign
        return {
            **of_memory(str(known.live)),
            "member_id": str(known.member_id),
            "key_id": known.key_id,
            "job_id": str(known.job_id),
            "webhook_id": str(known.webhook_id),
            "delivery_id": str(known.delivery_id),
            "erasure_id": str(known.erasure_id),
            "organization_id": str(known.organization_id),
            "user_id": known.user_id,
            "agent_id": known.agent_id,
            "run_id": known.run_id,
            "app_id": known.app_id,
            "actor": f"member:{known.member_id}",
            "account_id": str(known.account_id),
            "invitation_id": str(known.invitation_id),
            "session_id": str(known.session_id),
            "request_key_id": known.request_key_id,
            "rule_id": str(known.rule_id),
            "passkey_id": str(known.account_id),
            "factor_kind": "totp",
            "kind": "users",
            "policy_kind": "password",
            "query": f"What does the {CANARY} sing?",
        }

    def ids_for(self, operation: ApiOperation) -> Iterator[dict[str, str]]:
        """Give the ids that an operation is tried with: its deleted memory and every kind of entity as well."""
        yield self.ids
        deleted = of_memory(str(self.foreign.deleted))
        if operation.carries(deleted):
            yield self.ids | deleted
        if operation.carries({"kind": ""}):
            yield from (self.ids | {"kind": kind} for kind in KINDS)

    def lines(self, memory_id: str) -> str:
        """Write a memory of the attacker's own under an id, as an import takes it."""
        exported = self.foreign.exported().model_dump(mode="json")
        own = {"id": memory_id, "content": "of the attacker", "user_id": "attacker", "metadata": {}}
        exported["versions"][0]["memory"] |= own
        return json.dumps(exported)


def of_memory(memory_id: str) -> dict[str, str]:
    """Give a memory's id by the names that requests have for it."""
    return dict.fromkeys(("memory_id", "id", "target"), memory_id)


NAMES_OF_ALL: Final = frozenset({"factor_kind", "kind", "policy_kind", "query"})
"""What requests have in their paths that is no id of anybody's."""


def of_nobody(ids: Mapping[str, str]) -> dict[str, str]:
    """Give ids of the same forms that nobody has."""
    fresh = {value: _another(value) for value in set(ids.values())}
    return {name: value if name in NAMES_OF_ALL else fresh[value] for name, value in ids.items()}


def _another(value: str) -> str:
    try:
        UUID(value)
    except ValueError:
        return value[:-6] + uuid4().hex[:6]
    return str(uuid4())


@asynccontextmanager
async def standing(store: Store, owner: Owner, walls: str, state: State | None = None) -> AsyncIterator[App]:
    """Give the application with the walls that are to stand, over a state that servers share or its own."""
    async with AsyncExitStack() as stack:
        if walls == "no row security":
            await stack.enter_async_context(row_security_off(owner))
        database = store.app.database
        if walls == "no conditions":
            database = await stack.enter_async_context(unfiltered_database(store.app))
        yield await stack.enter_async_context(app_over(store.app, database, state))


@dataclass(frozen=True, kw_only=True)
class Victim:
    """An organization full of a canary, what could be known of it, and a key to it."""

    memory: AsyncMemory
    foreign: Foreign
    key: str


async def victim_in(store: Store) -> Victim:
    """Fill an organization that is to be attacked; of one memory no id is known."""
    victim = await store.organization(f"{CANARY}-{uuid4().hex}")
    foreign = await foreign_of(victim, user_id="user-of-the-victim", content=f"the {CANARY} sings", key="shared-key")
    places = {name: f"{CANARY}-{name}" for name in PLACES}
    said = {"actor": f"{CANARY}-actor", "content": f"the {CANARY} hides", "metadata": {CANARY: CANARY}}
    await victim.add(NewMemory.model_validate(places | said))
    return Victim(memory=victim, foreign=foreign, key=await key_of(victim))


@asynccontextmanager
async def twins_in(
    store: Store, app: App, served: Served | None = None, victim: Victim | None = None
) -> AsyncIterator[Twins]:
    """Set an attacker beside a victim, which is a new one unless it is given, and open a client of each."""
    victim = victim or await victim_in(store)
    attacker = await store.organization()
    await attacker.add("nothing of interest", user_id="attacker")
    key, served = await key_of(attacker), served or served_by(app)
    # Each from an address of its own: what others have asked for counts against nobody here.
    near, far = (f"2001:db8:{uuid4().hex[:4]}:{uuid4().hex[:4]}::{last}" for last in (1, 2))
    async with (
        client(app, victim.key, served=served, address=near) as theirs,
        client(app, key, served=served, address=far) as mine,
    ):
        yield Twins(victim=victim.memory, foreign=victim.foreign, theirs=theirs, mine=mine, attacker=attacker)
