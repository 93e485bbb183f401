"""Becoming somebody: by an invitation, or by oneself where that is allowed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agentmem.errors import Conflict, PermissionDenied
from agentmem.features.identity.accounts.addresses import canonical
from agentmem.features.identity.accounts.model import MailPurpose
from agentmem.features.identity.accounts.self_service import SelfService
from agentmem.features.identity.accounts.service import AccountService
from agentmem.features.organizations.invitation_rows import PREFIX as INVITATION
from agentmem.features.organizations.invitations import InvitationService
from agentmem.features.organizations.model import Invited
from agentmem.foundation.authorization.caller import Caller, Permission, accounts_caller, own_account
from agentmem.kit.ids import AccountId, OrganizationId
from agentmem.kit.networks import Address
from agentmem.kit.secret_text import ids_of
from agentmem.pipelines.accounts.asking import Asking
from agentmem.pipelines.accounts.choosing import Choosing, words_about
from agentmem.schemas.access import Role
from agentmem.schemas.accounts import Account, NewAccount
from agentmem.schemas.invitations import Invitation
from agentmem.schemas.organizations import Member


@dataclass(frozen=True, kw_only=True)
class Registering:
    """Registration and invitations; ``is_open`` says whether anybody may register."""

    accounts: AccountService
    self_service: SelfService
    invitations: InvitationService
    choosing: Choosing
    asking: Asking
    is_open: bool
    days: int

    async def ask(self, email: str, address: Address | None = None) -> None:
        """Have a mail sent with which an account is registered; raises :class:`PermissionDenied` unless it is open."""
        if not self.is_open:
            raise PermissionDenied("Accounts are registered by invitation here.", hint="Ask for an invitation.")
        await self.asking.ask(MailPurpose.REGISTER, email, address)

    async def register(self, secret: str, name: str, password: str) -> Account:
        """Make the account of whoever has the secret of such a mail.

        Raises :class:`NotFound` for a secret that does not work, and :class:`WeakPassword`.
        """
        caller = accounts_caller()
        letter = await self.self_service.read(caller, secret, MailPurpose.REGISTER)
        hashed = await self.choosing.choose(password, await self.choosing.rules(), words_about(letter.email, name))
        return await self.self_service.register(caller, secret, name, hashed)

    async def invite(self, caller: Caller, email: str, role: Role) -> Invitation:
        """Invite somebody to the caller's organization."""
        return await self.invitations.create(caller, canonical(email), role, self.days)

    async def accept_new(self, secret: str, name: str, password: str) -> Account:
        """Make the account of somebody who was invited, and a member of it.

        Raises :class:`NotFound` for a secret that does not work, :class:`WeakPassword`, and :class:`Conflict` for an
        address that has an account: whoever has it signs in and accepts.
        """
        organization_id, invited = await self._read(secret)
        caller = accounts_caller()
        if await self.accounts.find(caller, invited.email) is not None:
            raise Conflict("The address has an account already.", hint="Sign in, and accept the invitation then.")
        rules = await self.choosing.rules([organization_id])
        hashed = await self.choosing.choose(password, rules, words_about(invited.email, name))
        new = NewAccount(email=invited.email, name=name)
        account = await self.accounts.create(caller, new, hashed, verified=True)
        await self.invitations.accept(
            _guest(organization_id, AccountId(account.id)), secret, AccountId(account.id), name
        )
        return account

    async def accept(self, caller: Caller, secret: str) -> Member:
        """Make whoever has signed in a member, as an invitation to their address says."""
        organization_id, invited = await self._read(secret)
        account = await self.accounts.own(own_account(caller))
        if account.email != invited.email:
            raise PermissionDenied("The invitation was sent to another address.")
        guest = _guest(organization_id, AccountId(account.id))
        return await self.invitations.accept(guest, secret, AccountId(account.id), account.name)

    async def _read(self, secret: str) -> tuple[OrganizationId, Invited]:
        ids = ids_of(INVITATION, secret, 2)
        organization_id = OrganizationId(ids[0]) if ids else accounts_caller().organization_id
        return organization_id, await self.invitations.read(_guest(organization_id, None), secret)


def _guest(organization_id: OrganizationId, account_id: AccountId | None) -> Caller:
    """Make the caller of somebody who is about to become a member: no more than what their invitation says."""
    caller = replace(accounts_caller(), organization_id=organization_id)
    if account_id is not None:
        caller = replace(own_account(replace(caller, account_id=account_id)), organization_id=organization_id)
    return replace(caller, permissions=frozenset({Permission.ACCOUNT_USE}))
