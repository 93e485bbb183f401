"""Second factors as values: what an account has, what an organization asks for, and what may be tried; pure."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final
from uuid import UUID

from agentmem.errors import PermissionDenied
from agentmem.foundation.authorization.caller import Caller
from agentmem.kit.ids import AccountId, OrganizationId
from agentmem.schemas.access import Role
from agentmem.schemas.factors import FactorKind
from agentmem.schemas.policies import FactorPolicy

MOST_FAILURES: Final = 100
"""Wrong codes in a row after which no code of the account is tried any more (NIST SP 800-63B-4, section 3.2.2)."""
RECOVERY_CODES: Final = 10
RECOVERY_BITS: Final = 120
MOST_PASSKEYS: Final = 32
"""Passkeys of one account."""
METHODS: Final[Mapping[FactorKind, str]] = MappingProxyType(
    {
        FactorKind.TOTP: "otp",
        FactorKind.PASSKEY: "hwk",
        FactorKind.RECOVERY_CODE: "otp",
        FactorKind.EMAIL: "otp",
        FactorKind.SMS: "sms",
    }
)
"""How a token says what was proved (``amr``, RFC 8176)."""
MULTIPLE: Final = "mfa"
PASSWORDLESS: Final = (METHODS[FactorKind.PASSKEY], MULTIPLE)
"""What a passkey proves that signs in by itself: it is held, and its holder was verified."""
CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_DIGITS: Final = RECOVERY_BITS // 5
_GROUP: Final = 6
_READ_AS: Final = str.maketrans("OIL", "011", " -")
_CODE: Final = re.compile(rf"[{CROCKFORD}]{{{_DIGITS}}}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """What a sign-in needs after the password: first a proof by one of these kinds, then one of those to be added.

    Either may be empty. Until both are done the sign-in may do nothing else.
    """

    prove: tuple[FactorKind, ...] = ()
    enrol: tuple[FactorKind, ...] = ()

    @property
    def is_met(self) -> bool:
        """Whether nothing more is needed."""
        return not self.prove and not self.enrol


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredPasskey:
    """A passkey as its row keeps it; ``sign_count`` is what its authenticator said last, 0 if it does not count."""

    passkey_id: UUID
    account_id: AccountId
    credential_id: bytes = field(repr=False)
    public_key: bytes = field(repr=False)
    name: str
    sign_count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Issued:
    """A code that is to be sent, and where to."""

    receiver: str = field(repr=False)
    code: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Challenge:
    """A sign-in that is not done yet: whose it is, as whom it will act where, and what was proved so far (RFC 8176)."""

    account_id: AccountId
    acting_in: OrganizationId
    role: Role
    amr: tuple[str, ...]

    @property
    def is_proved(self) -> bool:
        """Whether a second factor was proved."""
        return MULTIPLE in self.amr

    def proved_by(self, kind: FactorKind) -> Challenge:
        """Give the sign-in after this factor."""
        return replace(self, amr=tuple(dict.fromkeys((*self.amr, METHODS[kind], MULTIPLE))))


def account_of(caller: Caller) -> AccountId:
    """Give the account that a caller is; raises :class:`PermissionDenied` for one that is no person."""
    if caller.account_id is None:
        raise PermissionDenied("Only a person who has signed in has factors.", hint="Sign in, and try again.")
    return caller.account_id


def demand(held: Collection[FactorKind], role: Role, policy: FactorPolicy) -> Demand:
    """Say what a sign-in needs of an account with these factors that acts as a member of this role.

    A factor that the account has is always asked for, also one that the policy does not allow: whoever knows the
    password alone must not be able to add another. Recovery codes stand in for a factor, and are none by themselves.
    """
    own = [kind for kind in FactorKind if kind in held and kind is not FactorKind.RECOVERY_CODE]
    usable = [kind for kind in own if kind in policy.allowed]
    spare = [FactorKind.RECOVERY_CODE] if own and FactorKind.RECOVERY_CODE in held else []
    lacking = not usable and role in policy.required_for
    return Demand(prove=(*(usable or own), *spare), enrol=tuple(policy.allowed) if lacking else ())


def owed(challenge: Challenge, held: Collection[FactorKind], policy: FactorPolicy) -> Demand:
    """Say what a sign-in still needs that has proved something.

    A passkey that signed in by itself does not do where the policy forbids it and the account has what it allows.
    """
    whole = demand(held, challenge.role, policy)
    forbidden = challenge.amr == PASSWORDLESS and FactorKind.PASSKEY not in whole.prove
    return Demand(enrol=whole.enrol) if challenge.is_proved and not forbidden else whole


def new_recovery_code() -> str:
    """Make a code of 120 random bits, in groups that can be read aloud."""
    number = secrets.randbits(RECOVERY_BITS)
    digits = "".join(CROCKFORD[number >> 5 * place & 31] for place in range(_DIGITS))
    return "-".join(digits[start : start + _GROUP] for start in range(0, _DIGITS, _GROUP))


def read_recovery_code(text: str) -> str | None:
    """Read a code as people write it: any case, any grouping, O for 0, I and L for 1; ``None`` if it is none."""
    code = text.upper().translate(_READ_AS)
    return code if _CODE.fullmatch(code) else None
