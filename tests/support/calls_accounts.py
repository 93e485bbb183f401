"""An example of each operation on accounts, invitations and policies, called with what belongs to somebody else."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

from agentmem.features.identity.accounts.model import Attempt, MailPurpose, StoredPassword
from agentmem.foundation.authorization.caller import Caller
from agentmem.kit.ids import AccountId
from agentmem.schemas.access import Role
from agentmem.schemas.accounts import NewAccount
from agentmem.schemas.organizations import MemberKind, NewMember
from agentmem.schemas.policies import LockoutPolicy, PasswordPolicy, PolicyKind
from tests.support.foreign import Call, Foreign
from tests.support.people import address

_NEW = NewMember(name="new", role=Role.MEMBER, kind=MemberKind.PERSON)


def _owner(caller: Caller, foreign: Foreign) -> Caller:
    return replace(caller, account_id=foreign.account_id)


def _attempt(foreign: Foreign) -> Attempt:
    password = StoredPassword(number=1, hashed="a hash", set_at=foreign.account.created_at)
    return Attempt(subject=b"", device=uuid4(), admitted=True, account_id=foreign.account_id, password=password)


def _secret(foreign: Foreign, purpose: MailPurpose) -> str:
    return foreign.letters[purpose].secret or ""


CALLS: dict[str, Call] = {
    "AccountService.create": lambda s, c, f: s.create(
        c, NewAccount(email=address(), name="new"), "a hash", verified=True
    ),
    "AccountService.page": lambda s, c, f: s.page(c),
    "AccountService.find": lambda s, c, f: s.find(c, f.account.email),
    "AccountService.get": lambda s, c, f: s.get(c, f.account_id),
    "AccountService.disable": lambda s, c, f: s.disable(c, f.account_id),
    "AccountService.enable": lambda s, c, f: s.enable(c, f.account_id),
    "AccountService.unlock": lambda s, c, f: s.unlock(c, f.account_id),
    "AccountService.delete": lambda s, c, f: s.delete(c, f.account_id),
    "AccountService.own": lambda s, c, f: s.own(_owner(c, f)),
    "AccountService.rename": lambda s, c, f: s.rename(_owner(c, f), "renamed"),
    "AccountService.change_password": lambda s, c, f: s.change_password(_owner(c, f), "another hash", 0),
    "AccountService.leave": lambda s, c, f: s.leave(_owner(c, f)),
    "AccountService.last_passwords": lambda s, c, f: s.last_passwords(c, f.account_id, 3),
    "AccountService.forget_traces": lambda s, c, f: s.forget_traces(c),
    "AttemptService.begin": lambda s, c, f: s.begin(c, f.account.email, f.device, LockoutPolicy()),
    "AttemptService.succeed": lambda s, c, f: s.succeed(c, _attempt(f), "another hash"),
    "SelfService.request": lambda s, c, f: s.request(c, MailPurpose.RESET, f.account.email),
    "SelfService.find": lambda s, c, f: s.find(c, f.letters[MailPurpose.RESET].mail_id),
    "SelfService.prepare": lambda s, c, f: s.prepare(c, f.letters[MailPurpose.RESET]),
    "SelfService.read": lambda s, c, f: s.read(c, _secret(f, MailPurpose.RESET), MailPurpose.RESET),
    "SelfService.register": lambda s, c, f: s.register(c, _secret(f, MailPurpose.REGISTER), "new", "a hash"),
    "SelfService.reset": lambda s, c, f: s.reset(c, _secret(f, MailPurpose.RESET), "another hash", 0),
    "SelfService.unlock": lambda s, c, f: s.unlock(c, _secret(f, MailPurpose.UNLOCK)),
    "InvitationService.create": lambda s, c, f: s.create(c, address(), Role.MEMBER, 7),
    "InvitationService.page": lambda s, c, f: s.page(c),
    "InvitationService.revoke": lambda s, c, f: s.revoke(c, f.invitation_id),
    "InvitationService.prepare": lambda s, c, f: s.prepare(c, f.invitation_id),
    "InvitationService.read": lambda s, c, f: s.read(c, f.invitation_secret),
    "InvitationService.accept": lambda s, c, f: s.accept(c, f.invitation_secret, AccountId(uuid4()), "new"),
    "MembershipService.join": lambda s, c, f: s.join(c, _NEW, AccountId(uuid4())),
    "MembershipService.leave": lambda s, c, f: s.leave(c, f.account_id),
    "PolicyService.view": lambda s, c, f: s.view(c, PolicyKind.PASSWORD),
    "PolicyService.update": lambda s, c, f: s.update(c, PasswordPolicy(min_length=64)),
}

NOT_FOUND = frozenset(
    {
        *(f"AccountService.{name}" for name in ("get", "disable", "enable", "unlock", "delete")),
        *(f"AccountService.{name}" for name in ("own", "rename", "change_password", "leave")),
        "AttemptService.succeed",
        *(f"SelfService.{name}" for name in ("prepare", "read", "register", "reset", "unlock")),
        *(f"InvitationService.{name}" for name in ("revoke", "prepare", "read", "accept")),
    }
)
"""Operations that answer what belongs to somebody else as they do what nobody has."""
