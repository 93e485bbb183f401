"""People who sign in: accounts that live for one test, members of its organization."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from uuid import UUID, uuid4

from agentmem.bootstrap import App
from agentmem.features.organizations.memberships import MembershipService
from agentmem.foundation.authorization.caller import Caller, own_account
from agentmem.foundation.database.database import Database
from agentmem.foundation.state.memory import MemoryState
from agentmem.foundation.state.port import State
from agentmem.kit.ids import AccountId
from agentmem.pipelines.admission.admission import Presented
from agentmem.pipelines.signing_in.factors import Where
from agentmem.pipelines.signing_in.pipeline import SigningIn
from agentmem.schemas.access import Role
from agentmem.schemas.accounts import NewAccount
from agentmem.schemas.base import parse
from agentmem.schemas.organizations import MemberKind, NewMember
from agentmem.schemas.sessions import SignIn, Tokens
from tests.support.credentials import HOME, Desk, desk_of
from tests.support.tenants import operator_of

PASSWORD = "eleven storks beside the lock"


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody with an account, who is a member of one organization."""

    account_id: AccountId
    member_id: UUID
    email: str
    caller: Caller = field(repr=False)
    """Who may do everything in that organization."""

    @property
    def own(self) -> Caller:
        """The caller of the account itself."""
        return own_account(replace(self.caller, account_id=self.account_id))


async def person_of(app: App, role: Role = Role.MEMBER, *, caller: Caller | None = None) -> Person:
    """Make an account with a password, and let it act as a new member of an organization, by default the app's."""
    caller, operator = caller or app.caller, await operator_of(app)
    email = f"{uuid4().hex}@example.com"
    hashed = await app.accounts.passwords.hash(PASSWORD)
    account = await app.accounts.service.create(operator, NewAccount(email=email, name="Ada"), hashed, verified=True)
    new = NewMember(name="Ada", role=role, kind=MemberKind.PERSON)
    member = await MembershipService(database=app.database).join(caller, new, AccountId(account.id))
    return Person(account_id=AccountId(account.id), member_id=member.id, email=email, caller=caller)


@dataclass(frozen=True, kw_only=True)
class Gatehouse:
    """One server's part in people: it signs them in, and admits who presents their tokens."""

    signing_in: SigningIn
    desk: Desk

    async def sign_in(self, person: Person, *, where: Where | None = None, **fields: object) -> Tokens:
        """Sign a person in with the right password, where no factor is asked for."""
        asked = parse(SignIn, {"email": person.email, "password": PASSWORD, **fields})
        answer = await self.signing_in.sign_in(asked, where or Where())
        assert isinstance(answer, Tokens)
        return answer

    def forget_copies(self) -> None:
        """Let the time of what servers share of sessions pass."""
        state = self.desk.issuing.state
        if isinstance(state, MemoryState):
            for place in [place for place in state._values if place[1].startswith("session:")]:
                del state._values[place]

    async def caller(self, tokens: Tokens) -> Caller:
        """Give the caller that an access token makes now, whatever was known of its session."""
        assert tokens.access_token is not None
        self.desk.admission.people.forget([])
        self.forget_copies()
        return (await self.desk.present(tokens.access_token)).caller


def gatehouse_of(app: App, *, database: Database | None = None, state: State | None = None) -> Gatehouse:
    """Open a gatehouse over an application's database; those that share a state are servers of one installation."""
    desk = desk_of(app, database=database, state=state)
    people = desk.admission.people
    signing_in = replace(
        app.signing_in,
        sessions=people.sessions,
        keys=people.keys,
        state=desk.issuing.state,
        forget=people.forget,
        clock=(database or app.database).clock,
    )
    return Gatehouse(signing_in=signing_in, desk=desk)


def presented(tokens: Tokens) -> Presented:
    """Give a request that carries an access token."""
    return Presented(authorization=f"Bearer {tokens.access_token}", address=ip_address(HOME), request_id="request-1")
