"""Accounts in use: passwords are changed and reset, accounts disabled, unlocked and deleted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import structlog

from agentmem.errors import PermissionDenied, StateUnavailable, Unauthenticated
from agentmem.features.identity.accounts.model import ENDED, Chosen, MailPurpose, is_expired
from agentmem.features.identity.accounts.self_service import SelfService
from agentmem.features.identity.accounts.service import AccountService
from agentmem.features.identity.accounts.verifying import PasswordCheck
from agentmem.features.organizations.memberships import MembershipService
from agentmem.foundation.authorization.caller import Caller, Permission, accounts_caller, own_account
from agentmem.foundation.authorization.platform import platform_id
from agentmem.foundation.state.port import State
from agentmem.kit.clock import Clock, utc_now
from agentmem.kit.ids import AccountId
from agentmem.kit.networks import Address
from agentmem.kit.versions import require_version
from agentmem.pipelines.accounts.choosing import Choosing, words_about
from agentmem.schemas.access import Role
from agentmem.schemas.accounts import Account, FirstAccount, NewAccount
from agentmem.schemas.organizations import MemberKind, NewMember
from agentmem.schemas.policies import PasswordRules

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """Calls on accounts that need more than their own rows: policies, memberships, and the other servers."""

    accounts: AccountService
    self_service: SelfService
    memberships: MembershipService
    choosing: Choosing
    check: PasswordCheck
    state: State
    clock: Clock = utc_now

    async def rules(self, caller: Caller) -> PasswordRules:
        """Give the rules that the caller's own password is under."""
        own = own_account(caller)
        own.require(Permission.ACCOUNT_USE)
        return await self.choosing.rules_of(_id_of(own))

    async def change_password(
        self, caller: Caller, present: str, password: str, device: str | None = None, address: Address | None = None
    ) -> Account:
        """Give the caller's own account another password; a wrong present one counts as a guess.

        Raises :class:`Unauthenticated` for a wrong present password, :class:`WeakPassword`.
        """
        own = own_account(caller)
        account = await self.accounts.own(own)
        signed_in = await self.check.verify(account.email, present, device, address=address)
        if signed_in.account_id != account.id:
            raise Unauthenticated("The password is wrong.")
        chosen = await self._choose(account, password, now=self.clock())
        changed = await self.accounts.change_password(own, chosen.hashed, chosen.kept)
        await self.tell(signed_in.account_id)
        return changed

    async def reset(self, secret: str, password: str) -> None:
        """Give the account of whoever has the secret of a mail another password.

        Raises :class:`NotFound` for a secret that does not work, :class:`WeakPassword`.
        """
        caller = accounts_caller()
        letter = await self.self_service.read(caller, secret, MailPurpose.RESET)
        account_id = letter.account_id or AccountId(letter.mail_id)
        chosen = await self.choose(account_id, password)
        await self.self_service.reset(caller, secret, chosen.hashed, chosen.kept)
        await self.tell(account_id)

    async def expired(self, account_id: AccountId) -> PasswordRules | None:
        """Give the rules that another password is chosen by, or ``None`` where the present one is not too old."""
        rules = await self.choosing.rules_of(account_id)
        if rules.max_age_days is None:
            return None
        last = await self.accounts.last_passwords(accounts_caller(), account_id, 1)
        return rules if last and is_expired(rules, last[0].set_at, self.clock()) else None

    async def choose(self, account_id: AccountId, password: str) -> Chosen:
        """Judge and hash another password of an account, whatever the age of the present one.

        Raises :class:`WeakPassword`.
        """
        return await self._choose(await self.accounts.get(accounts_caller(), account_id), password)

    async def renew(self, caller: Caller, chosen: Chosen) -> None:
        """Give the caller's own account another password, which was chosen for it."""
        own = own_account(caller)
        await self.accounts.change_password(own, chosen.hashed, chosen.kept)
        await self.tell(_id_of(own))

    async def unlock_by_mail(self, secret: str) -> None:
        """End the delays of the account of whoever has the secret of a mail."""
        await self.self_service.unlock(accounts_caller(), secret)

    async def create(self, caller: Caller, new: FirstAccount, joining: Caller | None, role: Role) -> Account:
        """Make an account whose address whoever runs the installation vouches for.

        It becomes a member of the role in the organization of ``joining``, who may make one. Raises
        :class:`WeakPassword`, and :class:`Conflict` if the address has an account.
        """
        organizations = [] if joining is None else [joining.organization_id]
        rules = await self.choosing.rules(organizations)
        words = words_about(new.email, new.name)
        hashed = await self.choosing.choose(new.password.get_secret_value(), rules, words)
        account = await self.accounts.create(
            _managing(caller), NewAccount(email=new.email, name=new.name), hashed, verified=True
        )
        if joining is not None:
            member = NewMember(name=new.name, role=role, kind=MemberKind.PERSON)
            await self.memberships.join(joining, member, AccountId(account.id))
        return account

    async def disable(self, caller: Caller, account_id: AccountId, if_version: int | None = None) -> Account:
        """Let an account sign in no more, and end its sessions everywhere within a second."""
        disabled = await self.accounts.disable(_managing(caller), account_id, if_version)
        await self.tell(account_id)
        return disabled

    async def delete(self, caller: Caller, account_id: AccountId, if_version: int | None = None) -> None:
        """Delete an account, and disable the members that it is; raises :class:`Conflict` for a last owner."""
        managing = _managing(caller)
        managing.require(Permission.ACCOUNT_MANAGE)
        found = await self.accounts.get(managing, account_id)
        require_version("The account", found.version, if_version)
        await self._leave(account_id)
        await self.accounts.delete(managing, account_id, if_version)
        await self.tell(account_id)

    async def delete_own(self, caller: Caller, if_version: int | None = None) -> None:
        """Delete the caller's own account; raises :class:`Conflict` for a last owner."""
        own = own_account(caller)
        require_version("The account", (await self.accounts.own(own)).version, if_version)
        await self._leave(_id_of(own))
        await self.accounts.leave(own, if_version)
        await self.tell(_id_of(own))

    async def forget_traces(self, caller: Caller) -> int:
        """Forget mails whose time is over and guesses of long ago; a step of the sweep."""
        if caller.organization_id != platform_id():
            return 0
        return await self.accounts.forget_traces(caller)

    async def tell(self, account_id: AccountId) -> None:
        """Tell every server that what an account signed in to before its ``valid_after`` is over."""
        try:
            await self.state.publish(ENDED, str(account_id))
        except StateUnavailable as error:
            # The others believe what they know for less than a second longer.
            log.warning("account_end_not_told", code=error.code)

    async def _choose(self, account: Account, password: str, *, now: datetime | None = None) -> Chosen:
        account_id = AccountId(account.id)
        rules = await self.choosing.rules_of(account_id)
        last = await self.accounts.last_passwords(accounts_caller(), account_id, max(1, rules.history))
        words = words_about(account.email, account.name)
        hashed = await self.choosing.choose(password, rules, words, last, now=now)
        return Chosen(hashed=hashed, kept=max(0, rules.history - 1))

    async def _leave(self, account_id: AccountId) -> None:
        for membership in await self.memberships.of_account(account_id):
            guest = replace(accounts_caller(), organization_id=membership.organization_id)
            leaving = replace(guest, permissions=frozenset({Permission.ACCOUNT_USE}))
            await self.memberships.leave(leaving, account_id)


def _managing(caller: Caller) -> Caller:
    """Give an operator as such: accounts are looked after in the platform's organization alone."""
    if caller.organization_id != platform_id():
        raise PermissionDenied("Accounts are looked after by operators of the platform.")
    return caller


def _id_of(own: Caller) -> AccountId:
    return AccountId(UUID(str(own.account_id)))
