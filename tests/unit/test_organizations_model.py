from __future__ import annotations

import pytest

from agentmem.errors import InvalidInput, PermissionDenied
from agentmem.features.organizations.model import may_give
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.authorization.platform import organization_id_of, platform_id
from agentmem.foundation.authorization.roles import ORIGIN_OF_ROLE, ROLES
from agentmem.kit.ids import OrganizationId, PrincipalId
from agentmem.schemas.access import Role
from agentmem.schemas.base import parse
from agentmem.schemas.organizations import MemberPatch, NewOrganization, OrganizationLimits, OrganizationPatch

HERE = organization_id_of("here")


def member(role: Role, organization_id: OrganizationId = HERE) -> Caller:
    return Caller(
        organization_id=organization_id,
        principal_id=PrincipalId("member:1"),
        origin=ORIGIN_OF_ROLE[role],
        permissions=ROLES[role],
    )


def test_owner_gives_every_role_of_an_organization() -> None:
    for role in set(Role) - {Role.OPERATOR}:
        may_give(member(Role.OWNER), role)


def test_admin_gives_every_role_but_the_owners() -> None:
    for role in (Role.ADMIN, Role.MEMBER, Role.VIEWER, Role.SERVICE):
        may_give(member(Role.ADMIN), role)
    with pytest.raises(PermissionDenied, match="Only an owner"):
        may_give(member(Role.ADMIN), Role.OWNER)


@pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN])
def test_nobody_makes_an_operator_outside_the_platform(role: Role) -> None:
    with pytest.raises(PermissionDenied, match="platform"):
        may_give(member(role), Role.OPERATOR)


def test_operator_makes_operators_in_the_platforms_organization_alone() -> None:
    may_give(member(Role.OPERATOR, platform_id()), Role.OPERATOR)
    with pytest.raises(PermissionDenied):
        may_give(member(Role.OPERATOR), Role.OPERATOR)
    with pytest.raises(PermissionDenied):
        may_give(member(Role.OWNER, platform_id()), Role.OPERATOR)


@pytest.mark.parametrize(
    "schema, values, field",
    [
        (NewOrganization, {"name": ""}, "name"),
        (NewOrganization, {"name": " \n"}, "name"),
        (NewOrganization, {"name": "x" * 256}, "name"),
        (NewOrganization, {"name": "x", "limits": {"memories": -1}}, "limits.memories"),
        (OrganizationLimits, {"requests_per_minute": 0}, "requests_per_minute"),
        (OrganizationLimits, {"storage_bytes": 1.5}, "storage_bytes"),
        (OrganizationPatch, {"max_key_days": 0}, "max_key_days"),
        (OrganizationPatch, {"name": None}, "value"),
        (OrganizationPatch, {"status": "active"}, "status"),
        (MemberPatch, {"role": "king"}, "role"),
        (MemberPatch, {"role": None}, "value"),
    ],
)
def test_impossible_values_are_refused_by_the_name_of_their_field(
    schema: type[NewOrganization], values: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(schema, values)

    assert [fault.field for fault in caught.value.faults] == [field]
