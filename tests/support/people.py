"""People with accounts, mails and invitations."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID, uuid4

from agentmem.bootstrap import App
from agentmem.features.identity.accounts.model import Letter, MailPurpose
from agentmem.foundation.authorization.caller import Caller
from agentmem.kit.ids import AccountId
from agentmem.schemas.access import Role
from agentmem.schemas.accounts import Account, NewAccount
from agentmem.schemas.organizations import MemberKind, NewMember
from agentmem.schemas.policies import LockoutPolicy, PasswordPolicy

PASSWORD = "seven herons at the weir"  # the password of accounts that live for one test
ANOTHER = "nine owls behind the mill"


def address() -> str:
    """Give an address that nobody has."""
    return f"{uuid4().hex}@example.com"


async def account_of(app: App, caller: Caller, name: str = "Ada", password: str | None = PASSWORD) -> Account:
    """Make an account of somebody new."""
    hashed = None if password is None else await app.accounts.passwords.hash(password)
    new = NewAccount(email=address(), name=name)
    return await app.accounts.service.create(caller, new, hashed, verified=True)


async def member_with_account(app: App, name: str) -> tuple[Account, str]:
    """Make a member of the caller's organization who has an account there, and give the token of a device of theirs.

    The organization has a policy and guesses besides.
    """
    caller = app.caller
    account = await app.accounts.service.create(caller, NewAccount(email=address(), name=name), "a hash", verified=True)
    person = NewMember(name=name, role=Role.MEMBER, kind=MemberKind.PERSON)
    await app.accounts.memberships.join(caller, person, AccountId(account.id))
    await app.accounts.policies.update(caller, PasswordPolicy(min_length=20))
    attempts = app.accounts.check.attempts
    attempt = await attempts.begin(caller, account.email, None, LockoutPolicy())
    signed_in = await attempts.succeed(caller, attempt, None)
    await attempts.begin(caller, account.email, None, LockoutPolicy())
    assert signed_in is not None
    return account, signed_in.device


async def letters_to(app: App, caller: Caller, account: Account) -> Mapping[MailPurpose, Letter]:
    """Have a mail of each purpose prepared: to somebody new, and to somebody who has an account."""
    own = app.accounts.registering.self_service
    letters: dict[MailPurpose, Letter] = {}
    for purpose in MailPurpose:
        email = address() if purpose is MailPurpose.REGISTER else account.email
        letter = await own.find(caller, await own.request(caller, purpose, email))
        assert letter is not None
        letters[purpose] = await own.prepare(caller, letter)
    return letters


async def invitation_of(app: App, caller: Caller, email: str, role: Role = Role.MEMBER) -> tuple[UUID, str]:
    """Invite somebody, and give the invitation and its secret."""
    invitations = app.accounts.invitations
    made = await invitations.create(caller, email, role, 7)
    return made.id, (await invitations.prepare(caller, made.id))[1]
