"""Accounts with second factors, over a real database: what a server's part in signing in does with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from ipaddress import ip_address
from uuid import uuid4

from agentmem.bootstrap import App
from agentmem.features.identity.factors.model import Challenge
from agentmem.features.identity.factors.passkey_service import PasskeyService
from agentmem.features.identity.factors.service import FactorService
from agentmem.features.identity.factors.totp import code_at, step_at
from agentmem.features.identity.factors.webauthn import Registered
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.codes.port import NO_SENDERS, OtpSender
from agentmem.foundation.state.memory import MemoryState
from agentmem.foundation.state.port import State
from agentmem.kit.ids import AccountId, OrganizationId
from agentmem.pipelines.signing_in.passkeys import account_caller
from agentmem.pipelines.signing_in.second_factors import SecondFactors
from agentmem.schemas.access import Role
from agentmem.schemas.accounts import NewAccount
from agentmem.schemas.factors import FactorKind, FactorProof, FactorRequired, NewPasskey
from tests.support.authenticator import Authenticator
from tests.support.tenants import operator_of

ORIGIN = "https://memory.example.com"
HOME = ip_address("192.0.2.1")


@dataclass(kw_only=True)
class Outbox:
    """Keeps the codes that it was to send."""

    sent: list[tuple[str, str]] = field(default_factory=list)

    async def send(self, receiver: str, code: str) -> None:
        self.sent.append((receiver, code))


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody with an account, and what they hold beside it."""

    account_id: AccountId
    email: str
    caller: Caller
    acting_in: OrganizationId
    secondary: SecondFactors

    async def signs_in(self, role: Role = Role.MEMBER, *amr: str) -> FactorRequired | None:
        """Give what a sign-in needs after the password."""
        return await self.secondary.ask(
            Challenge(account_id=self.account_id, acting_in=self.acting_in, role=role, amr=amr or ("pwd",))
        )

    async def challenged(self, role: Role = Role.MEMBER) -> str:
        """Give the challenge of a sign-in that needs more."""
        required = await self.signs_in(role)
        assert required is not None
        return required.challenge

    async def app(self) -> str:
        """Add an authenticator app, and give its secret; the code of the step before is used up by that."""
        secret = (await self.secondary.factors.enrol_totp(self.caller)).secret
        await self.secondary.factors.confirm_totp(self.caller, code_at(secret, self.step - 1))
        return secret

    async def passkey(self, **terms: object) -> Authenticator:
        """Add a passkey."""
        key = Authenticator(**{"origin": ORIGIN, **terms})  # type: ignore[arg-type]
        asked = await self.secondary.passkeys.ask_for_new(self.caller)
        await self.secondary.passkeys.add(self.caller, NewPasskey(name="key", credential=key.create(asked.public_key)))
        return key

    @property
    def step(self) -> int:
        """The step of authenticator apps that it is now, by the database's clock."""
        return step_at(self.secondary.factors.database.clock())

    async def shows(self, challenge: str, code: str, kind: FactorKind = FactorKind.TOTP) -> Challenge:
        """Show a code to a sign-in."""
        return await self.secondary.answer(FactorProof(challenge=challenge, kind=kind, code=code), HOME)


async def person_of(
    app: App, *, state: State | None = None, senders: Mapping[FactorKind, OtpSender] = NO_SENDERS
) -> Person:
    """Make an account, in the hands of a server of its own."""
    operator = await operator_of(app)
    email = f"{uuid4().hex}@example.com"
    account = await app.accounts.service.create(operator, NewAccount(email=email, name="Ada"), None, verified=True)
    account_id = AccountId(account.id)
    secondary = second_factors(app, state=state, senders=senders)
    return Person(
        account_id=account_id,
        email=email,
        caller=account_caller(account_id),
        acting_in=app.caller.organization_id,
        secondary=secondary,
    )


def second_factors(
    app: App, *, state: State | None = None, senders: Mapping[FactorKind, OtpSender] = NO_SENDERS
) -> SecondFactors:
    """Make a server's second factors over an application's database; those that share a state are one installation."""
    return SecondFactors.over(
        app.database,
        state or MemoryState(),
        app.accounts.policies,
        public_url=ORIGIN,
        senders=senders,
    )


def later(person: Person, **by: float) -> Person:
    """Give the person as a server sees them later, by days or seconds; limits of the shared state are new there."""
    database = person.secondary.factors.database
    moved = replace(database, ahead=database.ahead + timedelta(**by))
    return replace(
        person,
        secondary=SecondFactors.over(
            moved,
            MemoryState(),
            person.secondary.policies,
            public_url=ORIGIN,
            senders=person.secondary.codes.senders,
        ),
    )


async def add_factors(app: App, account_id: AccountId) -> None:
    """Give an account of the caller's organization one factor of each kind that it can have."""
    caller = replace(app.caller, account_id=account_id)
    factors, passkeys = FactorService(database=app.database), PasskeyService(database=app.database)
    secret = (await factors.enrol_totp(caller)).secret
    await factors.confirm_totp(caller, code_at(secret, step_at(app.database.clock())))
    await factors.make_recovery_codes(caller)
    await factors.enrol_receiver(caller, FactorKind.SMS, "+4915112345678")
    await factors.issue_code(caller, FactorKind.SMS)
    await passkeys.add(caller, "key", Registered(credential_id=account_id.bytes, public_key=b"key", sign_count=0))
