"""Choosing a password: by the strictest rules of the organizations that its account belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agentmem.errors import Fault, WeakPassword
from agentmem.features.identity.accounts.model import StoredPassword, is_too_young, strictest
from agentmem.features.organizations.memberships import MembershipService
from agentmem.features.organizations.policies import PolicyService
from agentmem.foundation.authorization.platform import platform_id
from agentmem.foundation.passwords.hashing import Passwords
from agentmem.foundation.passwords.strength import Strength, Weakness
from agentmem.kit.ids import AccountId, OrganizationId
from agentmem.schemas.policies import PasswordPolicy, PasswordRules, PolicyKind

_PRODUCT: Final = "agentmem"
_BETWEEN: Final = re.compile(r"[\W_]+")


@dataclass(frozen=True, kw_only=True)
class Choosing:
    """Judges and hashes the passwords that people choose."""

    passwords: Passwords
    strength: Strength
    policies: PolicyService
    memberships: MembershipService

    async def rules_of(self, account_id: AccountId) -> PasswordRules:
        """Give the rules that an account's password is under."""
        found = await self.memberships.of_account(account_id)
        return await self.rules([membership.organization_id for membership in found])

    async def rules(self, organization_ids: Sequence[OrganizationId] = ()) -> PasswordRules:
        """Give the strictest rules of some organizations; those of the platform if there are none."""
        policies = await self.policies.of(organization_ids or [platform_id()], PolicyKind.PASSWORD)
        return strictest(policy.rules for policy in policies if isinstance(policy, PasswordPolicy))

    async def choose(
        self,
        password: str,
        rules: PasswordRules,
        words: Iterable[str],
        last: Sequence[StoredPassword] = (),
        *,
        now: datetime | None = None,
    ) -> str:
        """Give the hash of a new password; ``last`` are those before it, ``now`` is given where age counts.

        Raises :class:`WeakPassword` naming each rule that it breaks.
        """
        told = tuple(words)
        found = await self.passwords.run(lambda: self.strength.weaknesses(password, rules, told))
        if now is not None and last and is_too_young(rules, last[0].set_at, now):
            found.append(Weakness.TOO_SOON)
        if not found:
            # Each comparison costs as much as a sign-in: not for a password that is refused anyway.
            found = [Weakness.REUSED for old in last[: rules.history] if await self._is(old, password)][:1]
        if found:
            raise _weak(found, rules)
        return await self.passwords.hash(password)

    async def _is(self, old: StoredPassword, password: str) -> bool:
        return await self.passwords.matches(old.hashed, password)


def words_about(*texts: str) -> Iterator[str]:
    """Give the words of what is known about somebody, and the name of what they sign in to."""
    yield _PRODUCT
    for text in texts:
        yield text
        yield from _BETWEEN.split(text)


def _weak(found: Sequence[Weakness], rules: PasswordRules) -> WeakPassword:
    said = {
        Weakness.TOO_SHORT: f"has fewer than {rules.min_length} characters",
        Weakness.TOO_FEW_CLASSES: f"has fewer than {rules.min_classes} of lower case, upper case, digits and others",
        Weakness.COMMON: "is one that many people use",
        Weakness.CONTEXT: "is little more than your name, your address or the product's name",
        Weakness.GUESSABLE: "is easily guessed; several unrelated words are not",
        Weakness.BREACHED: "is among those that others have lost",
        Weakness.REUSED: "was used before",
        Weakness.TOO_SOON: f"was changed less than {rules.min_age_hours} hours ago",
    }
    faults = [Fault(field=f"password.{one.value}", message=said[one]) for one in found]
    return WeakPassword(
        f"The password cannot be used: it {'; it '.join(fault.message for fault in faults)}.",
        hint="Choose another one.",
        faults=faults,
    )
