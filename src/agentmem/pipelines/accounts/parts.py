"""Everything about accounts, put together over one database."""

from __future__ import annotations

import os
from dataclasses import dataclass

from agentmem.features.identity.accounts.attempts import AttemptService
from agentmem.features.identity.accounts.service import AccountService
from agentmem.features.identity.accounts.verifying import PasswordCheck
from agentmem.features.organizations.policies import PolicyService
from agentmem.foundation.authorization.platform import platform_id
from agentmem.foundation.database.database import Database
from agentmem.foundation.passwords.hashing import Passwords
from agentmem.schemas.policies import LockoutPolicy, PolicyKind
from agentmem.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """Accounts, their passwords, and the policies that they are under."""

    service: AccountService
    passwords: Passwords
    check: PasswordCheck
    policies: PolicyService

    @classmethod
    def over(cls, database: Database, passwords: Passwords) -> Accounts:
        """Put them together over a database."""
        policies = PolicyService(database=database)

        async def lockout() -> LockoutPolicy:
            (policy,) = await policies.of([platform_id()], PolicyKind.LOCKOUT)
            return policy if isinstance(policy, LockoutPolicy) else LockoutPolicy()

        check = PasswordCheck(attempts=AttemptService(database=database), passwords=passwords, lockout=lockout)
        return cls(service=AccountService(database=database), passwords=passwords, check=check, policies=policies)


def open_passwords(settings: Settings) -> Passwords:
    """Make the threads that hash and verify passwords, as many as there are processors unless the settings say."""
    return Passwords(
        memory_kib=settings.password_memory_kib,
        passes=settings.password_passes,
        most=settings.password_threads or os.cpu_count() or 1,
        seconds=settings.password_wait,
    )
