"""Everything about accounts, put together over one database."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentmem.features.identity.accounts.attempts import AttemptService
from agentmem.features.identity.accounts.self_service import SelfService
from agentmem.features.identity.accounts.service import AccountService
from agentmem.features.identity.accounts.throttles import Throttles
from agentmem.features.identity.accounts.verifying import PasswordCheck
from agentmem.features.organizations.invitations import InvitationService
from agentmem.features.organizations.memberships import MembershipService
from agentmem.features.organizations.policies import PolicyService
from agentmem.features.organizations.service import OrganizationService
from agentmem.foundation.authorization.caller import local_operator
from agentmem.foundation.authorization.platform import PLATFORM_NAME, platform_id
from agentmem.foundation.database.database import Database
from agentmem.foundation.jobs.model import Work
from agentmem.foundation.mail.port import Mailer
from agentmem.foundation.passwords.breached import BreachedPasswords
from agentmem.foundation.passwords.hashing import Passwords
from agentmem.foundation.passwords.strength import Strength
from agentmem.foundation.state.port import State
from agentmem.foundation.telemetry.watchers import unheard
from agentmem.pipelines.accounts.asking import Asking
from agentmem.pipelines.accounts.choosing import Choosing
from agentmem.pipelines.accounts.keeping import Keeping
from agentmem.pipelines.accounts.letters import Letters
from agentmem.pipelines.accounts.mailing import Mailing
from agentmem.pipelines.accounts.registering import Registering
from agentmem.schemas.policies import LockoutPolicy, PolicyKind
from agentmem.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """Accounts, their passwords, and the policies that they are under; ``mailing`` is absent where no mail is sent."""

    service: AccountService
    passwords: Passwords
    check: PasswordCheck
    policies: PolicyService
    memberships: MembershipService
    invitations: InvitationService
    choosing: Choosing
    asking: Asking
    registering: Registering
    keeping: Keeping
    mailing: Mailing | None

    @classmethod
    def over(
        cls,
        database: Database,
        state: State,
        passwords: Passwords,
        mailer: Mailer | None,
        settings: Settings,
        *,
        tried: Callable[[str], None] = unheard,
    ) -> Accounts:
        """Put them together over a database."""
        accounts, own = AccountService(database=database), SelfService(database=database)
        policies, memberships = PolicyService(database=database), MembershipService(database=database)
        invitations, throttles = InvitationService(database=database), _throttles(state, settings)
        check = _check(database, passwords, policies, throttles, tried)
        choosing = Choosing(
            passwords=passwords, strength=_strength(settings), policies=policies, memberships=memberships
        )
        asking = Asking(self_service=own, throttles=throttles, database=database, sends=mailer is not None)
        registering = Registering(
            accounts=accounts,
            self_service=own,
            invitations=invitations,
            choosing=choosing,
            asking=asking,
            is_open=settings.open_registration,
            days=settings.invitation_days,
        )
        return cls(
            service=accounts,
            passwords=passwords,
            check=check,
            policies=policies,
            memberships=memberships,
            invitations=invitations,
            choosing=choosing,
            asking=asking,
            registering=registering,
            keeping=Keeping(
                accounts=accounts,
                self_service=own,
                memberships=memberships,
                choosing=choosing,
                check=check,
                state=state,
            ),
            mailing=None if mailer is None else _mailing(database, mailer, settings),
        )

    def works(self) -> Sequence[Work]:
        """Name the kinds of jobs that are done here; where no mail is sent, they wait for a process that does."""
        return () if self.mailing is None else self.mailing.works()

    async def found(self) -> None:
        """Make the platform's organization, which accounts belong to, unless it is there."""
        organizations = OrganizationService(database=self.service.database)
        await organizations.register(local_operator(platform_id()), PLATFORM_NAME)


def _check(
    database: Database,
    passwords: Passwords,
    policies: PolicyService,
    throttles: Throttles,
    tried: Callable[[str], None],
) -> PasswordCheck:
    return PasswordCheck(
        attempts=AttemptService(database=database),
        passwords=passwords,
        lockout=lambda: _lockout(policies),
        throttles=throttles,
        tried=tried,
    )


def _throttles(state: State, settings: Settings) -> Throttles:
    return Throttles(
        state=state,
        guesses=settings.sign_in_limit_ip,
        all_guesses=settings.sign_in_limit,
        mails=settings.mail_limit,
    )


def _strength(settings: Settings) -> Strength:
    path = settings.breached_passwords_file
    return Strength(breached=None if path is None else BreachedPasswords(path))


def _mailing(database: Database, mailer: Mailer, settings: Settings) -> Mailing:
    return Mailing(
        letters=Letters(page=settings.account_url),
        mailer=mailer,
        self_service=SelfService(database=database),
        invitations=InvitationService(database=database),
        organizations=OrganizationService(database=database),
    )


async def _lockout(policies: PolicyService) -> LockoutPolicy:
    (policy,) = await policies.of([platform_id()], PolicyKind.LOCKOUT)
    return policy if isinstance(policy, LockoutPolicy) else LockoutPolicy()


def open_passwords(settings: Settings) -> Passwords:
    """Make the threads that hash and verify passwords, as many as there are processors unless the settings say."""
    return Passwords(
        memory_kib=settings.password_memory_kib,
        passes=settings.password_passes,
        most=settings.password_threads or os.cpu_count() or 1,
        seconds=settings.password_wait,
    )
