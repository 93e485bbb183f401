"""Policies: what an organization asks of those who use it and of what it remembers, one body for each kind."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Final, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StrictBool, model_validator

from agentmem.schemas.access import Role
from agentmem.schemas.audit import AuditPolicy
from agentmem.schemas.base import Schema, Text
from agentmem.schemas.classification_policy import ClassificationPolicy
from agentmem.schemas.factors import FactorKind
from agentmem.schemas.masking import MaskingPolicy
from agentmem.schemas.policy_kinds import PolicyKind
from agentmem.schemas.provenance import ProvenancePolicy
from agentmem.schemas.retention import RetentionPolicy

__all__ = [
    "DAY",
    "DEFAULTS",
    "PRESETS",
    "AtCap",
    "AuditPolicy",
    "ClassificationPolicy",
    "FactorPolicy",
    "GivenRole",
    "LockoutPolicy",
    "MaskingPolicy",
    "NewPolicy",
    "PasswordPolicy",
    "PasswordPreset",
    "PasswordRules",
    "Policy",
    "PolicyInForce",
    "PolicyKind",
    "ProvenancePolicy",
    "RetentionPolicy",
    "SessionPolicy",
    "SigningPolicy",
    "SsoPolicy",
]

DAY: Final = 24 * 3600


class PasswordPreset(StrEnum):
    """A set of rules with a name: NIST SP 800-63B-4, OWASP ASVS 5 level 2, or what auditors of old ask for."""

    NIST = "nist"
    ASVS_L2 = "asvs-l2"
    LEGACY = "legacy"


class PasswordRules(Schema):
    """What a new password must be.

    ``min_length`` counts characters; ``min_score`` is what zxcvbn gives, from 0 to 4; ``min_classes`` is of how many of
    lower case, upper case, digits and others it has characters. The last ``history`` passwords cannot come again. One
    is changed after ``max_age_days`` days at the latest, and not within ``min_age_hours`` hours.
    """

    min_length: int
    min_score: int
    min_classes: int
    refuse_common: bool
    refuse_context: bool
    refuse_breached: bool
    history: int
    max_age_days: int | None
    min_age_hours: int


class PasswordPolicy(Schema):
    """A preset of rules for passwords, and what is different from it; see :class:`PasswordRules`."""

    kind: Literal[PolicyKind.PASSWORD] = PolicyKind.PASSWORD
    preset: PasswordPreset = PasswordPreset.NIST
    min_length: Annotated[int, Field(ge=8, le=128, strict=True)] | None = None
    min_score: Annotated[int, Field(ge=0, le=4, strict=True)] | None = None
    min_classes: Annotated[int, Field(ge=1, le=4, strict=True)] | None = None
    refuse_common: StrictBool | None = None
    refuse_context: StrictBool | None = None
    refuse_breached: StrictBool | None = None
    history: Annotated[int, Field(ge=0, le=24, strict=True)] | None = None
    max_age_days: Annotated[int, Field(ge=1, le=3650, strict=True)] | None = None
    min_age_hours: Annotated[int, Field(ge=0, le=720, strict=True)] | None = None

    @property
    def rules(self) -> PasswordRules:
        """The rules that hold: those of the preset, and what is given besides."""
        given = self.model_dump(exclude={"kind", "preset"}, exclude_none=True)
        return PRESETS[self.preset].model_copy(update=given)


_NIST: Final = PasswordRules(
    min_length=15,
    min_score=3,
    min_classes=1,
    refuse_common=True,
    refuse_context=True,
    refuse_breached=True,
    history=0,
    max_age_days=None,
    min_age_hours=0,
)
PRESETS: Final[Mapping[PasswordPreset, PasswordRules]] = MappingProxyType(
    {
        PasswordPreset.NIST: _NIST,
        PasswordPreset.ASVS_L2: _NIST.model_copy(update={"min_length": 8}),
        PasswordPreset.LEGACY: _NIST.model_copy(
            update={"min_length": 12, "min_classes": 3, "history": 10, "max_age_days": 90, "min_age_hours": 24}
        ),
    }
)


class AtCap(StrEnum):
    """What becomes of a sign-in beyond the sessions that an account may have."""

    EVICT_OLDEST = "evict_oldest"
    DENY_NEW = "deny_new"
    UNLIMITED = "unlimited"


class SessionPolicy(Schema):
    """How long a session lasts, in seconds without use and in all, and how many an account may have at once.

    For ``refresh_grace_seconds`` after a refresh token was used, it may be used again, as a client does whose answer
    was lost.
    """

    kind: Literal[PolicyKind.SESSIONS] = PolicyKind.SESSIONS
    idle_seconds: Annotated[int, Field(ge=60, le=30 * DAY, strict=True)] = 3600
    absolute_seconds: Annotated[int, Field(ge=60, le=90 * DAY, strict=True)] = DAY
    refresh_grace_seconds: Annotated[int, Field(ge=0, le=60, strict=True)] = 10
    max_sessions: Annotated[int, Field(ge=1, le=1000, strict=True)] = 10
    at_cap: AtCap = AtCap.EVICT_OLDEST

    @model_validator(mode="after")
    def _idle_is_within_absolute(self) -> Self:
        if self.idle_seconds > self.absolute_seconds:
            raise ValueError("idle_seconds is more than absolute_seconds")
        return self


Delay = Annotated[int, Field(ge=1, le=DAY, strict=True)]


class LockoutPolicy(Schema):
    """How guesses at a password are slowed down and ended; only the platform's organization has this policy.

    After ``failures`` of them from one device, or from all that are not known, each further one waits: as long as
    ``delays`` say in seconds, the last for all that follow. ``reset_hours`` without a guess forgive. After
    ``hard_cap`` in a row the password works no more from there, until it is reset or an operator unlocks it.
    """

    kind: Literal[PolicyKind.LOCKOUT] = PolicyKind.LOCKOUT
    failures: Annotated[int, Field(ge=1, le=20, strict=True)] = 5
    delays: Annotated[tuple[Delay, ...], Field(min_length=1, max_length=16)] = (60, 120, 240, 480, 900)
    reset_hours: Annotated[int, Field(ge=1, le=720, strict=True)] = 12
    hard_cap: Annotated[int, Field(ge=5, le=100, strict=True)] = 100

    @model_validator(mode="after")
    def _locks_before_it_ends(self) -> Self:
        if self.failures > self.hard_cap:
            raise ValueError("failures is more than hard_cap")
        return self


class SigningPolicy(Schema):
    """Whether the requests of API keys must be signed (RFC 9421); people sign in and sign nothing."""

    kind: Literal[PolicyKind.SIGNING] = PolicyKind.SIGNING
    required: StrictBool = False


def check_given(role: Role) -> Role:
    """Refuse the roles that people give each other and no identity provider gives."""
    if role not in {Role.ADMIN, Role.MEMBER, Role.VIEWER}:
        raise ValueError("is not admin, member or viewer")
    return role


GivenRole = Annotated[Role, AfterValidator(check_given)]
Short = Annotated[Text, Field(min_length=1, max_length=255)]


class SsoPolicy(Schema):
    """An OpenID provider at which an organization's people sign in, and what they are here; see how to use it.

    ``issuer`` is compared as it is. ``roles`` says which role the groups of ``groups_claim`` give, the strongest of
    them; ``default_role`` is for whoever has none of them, and without it they are refused. ``max_age_seconds`` and
    ``acr_values`` say how lately and how well they must have signed in there. While it is ``enforced``, the members who
    are not in ``break_glass`` sign in no other way.
    """

    kind: Literal[PolicyKind.SSO] = PolicyKind.SSO
    issuer: Annotated[Text, Field(min_length=8, max_length=2048, pattern="^https?://[^?#]+$")] | None = None
    client_id: Short | None = None
    groups_claim: Short = "groups"
    roles: Annotated[dict[Short, GivenRole], Field(max_length=100)] = Field(default_factory=dict)
    default_role: GivenRole | None = None
    acr_values: Annotated[tuple[Short, ...], Field(max_length=8)] = ()
    max_age_seconds: Annotated[int, Field(ge=60, le=30 * DAY, strict=True)] | None = None
    enforced: StrictBool = False
    break_glass: Annotated[tuple[UUID, ...], Field(max_length=16)] = ()

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.issuer is None) != (self.client_id is None):
            raise ValueError("issuer and client_id are given together, or neither")
        if self.enforced and (self.issuer is None or not self.break_glass):
            raise ValueError("enforced needs an issuer, and in break_glass a member who can sign in without it")
        return self


_ADMINISTERING: Final = (Role.OWNER, Role.ADMIN, Role.OPERATOR)


class FactorPolicy(Schema):
    """Which roles need a second factor to sign in, and which kinds of factors will do.

    A factor that an account has is asked for whoever it signs in as. Codes that are sent are weaker than the others:
    whoever reads a person's mail can also have the password reset.
    """

    kind: Literal[PolicyKind.FACTORS] = PolicyKind.FACTORS
    required_for: Annotated[tuple[Role, ...], Field(max_length=len(Role))] = _ADMINISTERING
    allowed: Annotated[tuple[FactorKind, ...], Field(min_length=1, max_length=len(FactorKind))] = (
        FactorKind.TOTP,
        FactorKind.PASSKEY,
    )

    @model_validator(mode="after")
    def _recovery_codes_are_no_factor(self) -> Self:
        if FactorKind.RECOVERY_CODE in self.allowed:
            raise ValueError("recovery_code stands in for a factor and is none; leave it out of allowed")
        return self


Policy = Annotated[
    PasswordPolicy
    | SessionPolicy
    | LockoutPolicy
    | FactorPolicy
    | SigningPolicy
    | SsoPolicy
    | MaskingPolicy
    | AuditPolicy
    | ProvenancePolicy
    | ClassificationPolicy
    | RetentionPolicy,
    Field(discriminator="kind"),
]
_UNSET: Final[tuple[Policy, ...]] = (
    *(PasswordPolicy(), SessionPolicy(), LockoutPolicy(), FactorPolicy(), SigningPolicy(), SsoPolicy()),
    *(MaskingPolicy(), AuditPolicy(), ProvenancePolicy(), ClassificationPolicy(), RetentionPolicy()),
)
DEFAULTS: Final[Mapping[PolicyKind, Policy]] = MappingProxyType({policy.kind: policy for policy in _UNSET})
"""What holds where an organization has not said anything else."""


class NewPolicy(Schema):
    """A policy to set; what is not given is as in the default."""

    policy: Policy


class PolicyInForce(Schema):
    """A policy as it stands; ``updated_at`` is absent while it is the default."""

    policy: Policy
    updated_at: datetime | None = None
    version: int
