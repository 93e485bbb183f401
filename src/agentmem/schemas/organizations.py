"""Organizations, their members and what both may use."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StrictBool, model_validator

from agentmem.schemas.access import Permission, Role
from agentmem.schemas.base import NOT_BLANK, Schema, Shown, Text, check_not_blank
from agentmem.schemas.memories import Scope

Name = Annotated[Text, Field(min_length=1, max_length=255), AfterValidator(check_not_blank), Shown(NOT_BLANK)]
Reason = Annotated[Text, Field(min_length=1, max_length=1000), AfterValidator(check_not_blank), Shown(NOT_BLANK)]
Count = Annotated[int, Field(ge=0, le=2**53, strict=True)]
LONGEST_KEY_LIFE = 3650
LONGEST_GRACE = 365


class OrganizationStatus(StrEnum):
    """Whether an organization can be used."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    DELETING = "deleting"


class MemberKind(StrEnum):
    """What a member is: a program or a person."""

    SERVICE = "service"
    PERSON = "person"


class OrganizationLimits(Schema):
    """What an organization may use; an absent limit is none."""

    memories: Count | None = None
    storage_bytes: Count | None = None
    requests_per_minute: Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)] | None = None


class NewOrganization(Schema):
    """An organization to create."""

    name: Name
    limits: OrganizationLimits = Field(default_factory=OrganizationLimits)


class OrganizationPatch(Schema):
    """Changes to an organization; what is not given stays as it is."""

    name: Name | None = None
    require_if_match: StrictBool | None = None
    max_key_days: Annotated[int, Field(ge=1, le=LONGEST_KEY_LIFE, strict=True)] | None = None
    unused_key_days: Annotated[int, Field(ge=1, le=LONGEST_KEY_LIFE, strict=True)] | None = None

    @model_validator(mode="after")
    def _only_unused_days_may_go(self) -> Self:
        _refuse_emptied(self, but="unused_key_days")
        return self


class Organization(Schema):
    """An organization as it stands."""

    id: UUID
    name: str
    status: OrganizationStatus
    status_reason: str | None = None
    purge_after: datetime | None = None
    """When a deletion becomes final; absent unless the organization is being deleted."""
    limits: OrganizationLimits
    require_if_match: bool
    max_key_days: int
    unused_key_days: int | None = None
    created_at: datetime
    updated_at: datetime
    version: int


class Suspension(Schema):
    """Why an organization is suspended."""

    reason: Reason


class DeletionRequest(Schema):
    """After how many days the deletion of an organization becomes final; by default the server's setting."""

    grace_days: Annotated[int, Field(ge=0, le=LONGEST_GRACE, strict=True)] | None = None


class NewMember(Schema):
    """A member to create."""

    name: Name
    role: Role = Role.SERVICE
    kind: MemberKind = MemberKind.SERVICE


class MemberPatch(Schema):
    """Changes to a member; what is not given stays as it is."""

    name: Name | None = None
    role: Role | None = None
    disabled: StrictBool | None = None

    @model_validator(mode="after")
    def _nothing_may_go(self) -> Self:
        _refuse_emptied(self)
        return self


class Member(Schema):
    """Somebody who acts in an organization: a person or a program."""

    id: UUID
    name: str
    role: Role
    kind: MemberKind
    created_by: str
    created_at: datetime
    disabled_at: datetime | None = None
    account_id: UUID | None = None
    version: int


class RoleView(Schema):
    """A role and what its members may do."""

    role: Role
    permissions: list[Permission]


class Me(Schema):
    """Who is asking: the organization, the member behind the key, and what this key may do."""

    organization_id: UUID
    organization: str
    principal: str
    member_id: UUID | None = None
    role: Role | None = None
    api_key_id: str | None = None
    permissions: list[Permission]
    binding: Scope
    expires_at: datetime | None = None
    limits: OrganizationLimits


def _refuse_emptied(patch: Schema, *, but: str | None = None) -> None:
    emptied = [name for name in patch.model_fields_set - {but} if getattr(patch, name) is None]
    if emptied:
        raise ValueError(f"{', '.join(sorted(emptied))} cannot be taken away")
