"""Admission over a real database: keys are made and presented as a server does it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import ip_address
from uuid import UUID

from agentmem.bootstrap import App
from agentmem.features.identity.request_keys.service import RequestKeyService
from agentmem.features.identity.service import ApiKeyService
from agentmem.features.identity.sessions.service import SessionService
from agentmem.features.identity.signing.known import KnownKeys
from agentmem.features.identity.signing.service import SigningKeyService
from agentmem.features.identity.usage import KeyUsage
from agentmem.features.organizations.members import MemberService
from agentmem.features.organizations.networks import NetworkService
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.database.database import Database
from agentmem.foundation.state.memory import MemoryState
from agentmem.foundation.state.port import State
from agentmem.pipelines.admission.admission import Admission, Admitted, Presented
from agentmem.pipelines.admission.installation import InstallationNetworks
from agentmem.pipelines.admission.issuing import Issuing
from agentmem.pipelines.admission.metering import Meter
from agentmem.pipelines.admission.people import People
from agentmem.pipelines.admission.quotas import RateLimits
from agentmem.schemas.access import Role
from agentmem.schemas.base import parse
from agentmem.schemas.keys import IssuedKey, NewApiKey
from agentmem.schemas.organizations import NewMember

UNLIMITED = RateLimits(ip=0, key=0, organization=0, failures=0)
HOME = "192.0.2.1"


class HandMovedClock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass(frozen=True, kw_only=True)
class Desk:
    """One server's part in keys: it makes them, and admits who presents them."""

    issuing: Issuing
    admission: Admission
    ticks: HandMovedClock
    failures: list[str]
    limited: list[str]

    @property
    def keys(self) -> ApiKeyService:
        return self.issuing.keys

    @property
    def members(self) -> MemberService:
        return self.issuing.members

    async def member(self, caller: Caller, role: Role) -> UUID:
        """Make a member of a role."""
        return (await self.members.create(caller, NewMember(name=f"a {role.value}", role=role))).id

    async def make(self, caller: Caller, **fields: object) -> IssuedKey:
        """Make a key with these fields."""
        return await self.issuing.create(caller, parse(NewApiKey, {"name": "a key", **fields}))

    async def present(self, key: IssuedKey | str | None, *, address: str = HOME, cost: int = 1) -> Admitted:
        """Present a key as a request does."""
        return await self.admission.admit(self.presented(key, address=address), cost)

    def presented(self, key: IssuedKey | str | None, *, address: str = HOME) -> Presented:
        """Give what a request with a key brings."""
        text = key.key if isinstance(key, IssuedKey) else key
        header = None if text is None else f"Bearer {text}"
        return Presented(authorization=header, address=ip_address(address), request_id="request-1")

    async def caller(self, key: IssuedKey) -> Caller:
        """Give the caller that a key makes now, whatever was known of it."""
        self.admission.forget([])
        return (await self.present(key)).caller


def desk_of(
    app: App, *, database: Database | None = None, state: State | None = None, limits: RateLimits = UNLIMITED
) -> Desk:
    """Open a desk over an application's database; desks that share a state are servers of one installation."""
    database = database or app.database
    state = state or MemoryState()
    ticks, failures, limited = HandMovedClock(), list[str](), list[str]()
    keys, members = ApiKeyService(database=database), MemberService(database=database)
    signers = RequestKeyService(database=database)
    admission = Admission(
        keys=keys,
        signers=signers,
        members=members,
        database=database,
        state=state,
        limits=limits,
        people=People(
            sessions=SessionService(database=database),
            members=members,
            keys=KnownKeys(SigningKeyService(database=database), ticks=ticks),
            database=database,
            state=state,
            issuer=app.admission.people.issuer,
            clock=database.clock,
            ticks=ticks,
        ),
        meter=Meter(KeyUsage(database=database), state, clock=database.clock),
        installation=InstallationNetworks(NetworkService(database=database)),
        failed=failures.append,
        limited=limited.append,
        clock=database.clock,
        ticks=ticks,
    )
    issuing = Issuing(
        keys=keys,
        signers=signers,
        members=members,
        admission=admission,
        state=state,
        default_days=90,
        clock=database.clock,
    )
    return Desk(issuing=issuing, admission=admission, ticks=ticks, failures=failures, limited=limited)


def moved(app: App, **by: float) -> Database:
    """Give the database as it will see the time later, by days or seconds."""
    later = timedelta(**by)
    return replace(app.database, ahead=app.database.ahead + later)
