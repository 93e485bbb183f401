"""The roles are a table: whoever changes what a role may do changes it here too."""

from __future__ import annotations

import pytest

from agentmem.foundation.authorization.caller import (
    BOUND_PERMISSIONS,
    Binding,
    Caller,
    local_operator,
    service_caller,
)
from agentmem.foundation.authorization.roles import ORIGIN_OF_ROLE, ROLES
from agentmem.kit.ids import OrganizationId, PrincipalId, uuid7
from agentmem.schemas.access import Permission, Role
from agentmem.schemas.memories import Origin

# One row for each permission: o(wner), a(dmin), m(ember), v(iewer), s(ervice), p(latform operator).
TABLE = """
account:manage            p
account:use          -
audit:read           oa   p
audit:verify         oa   p
encryption:read      oa   p
encryption:rotate    oa   p
event:read           oa
job:read             oa   p
job:write            oa   p
key:read             oa   p
key:write            oa   p
member:read          oa   p
member:write         oa   p
memory:declassify    oa
memory:delete        oam s
memory:maintain      oa
memory:promote       oa
memory:read          oamvs
memory:write         oam s
metrics:read              p
organization:delete  o
organization:read    oamv p
organization:write   oa   p
pii:read             oa
platform:manage           p
privacy:manage       oa
privacy:read         oa
sso:use              -
usage:read           oamv p
webhook:read         oa
webhook:write        oa
"""
LETTERS = {
    "o": Role.OWNER,
    "a": Role.ADMIN,
    "m": Role.MEMBER,
    "v": Role.VIEWER,
    "s": Role.SERVICE,
    "p": Role.OPERATOR,
}


def test_roles_hold_what_the_table_says() -> None:
    rows = [line.split(maxsplit=1) for line in TABLE.strip().splitlines()]
    table = {
        role: {Permission(name) for name, holders in rows if letter in holders} for letter, role in LETTERS.items()
    }

    assert {Permission(name) for name, _ in rows} == set(Permission)
    assert {role: set(permissions) for role, permissions in ROLES.items()} == table


def test_every_role_has_an_origin_and_agents_are_trusted_less_than_people() -> None:
    assert set(ORIGIN_OF_ROLE) == set(Role)
    assert ORIGIN_OF_ROLE[Role.SERVICE] is Origin.AGENT
    assert ORIGIN_OF_ROLE[Role.MEMBER] is Origin.USER


def test_no_role_reads_memories_and_manages_the_platform() -> None:
    assert not [role for role, held in ROLES.items() if {Permission.MEMORY_READ, Permission.PLATFORM_MANAGE} <= held]


def test_bound_callers_hold_nothing_but_work_on_memories() -> None:
    assert all(permission.value.startswith("memory:") for permission in BOUND_PERMISSIONS)
    assert Permission.MEMORY_MAINTAIN not in BOUND_PERMISSIONS


@pytest.mark.parametrize(
    "inner, outer, within",
    [
        (Binding(), Binding(), True),
        (Binding(user_id="a"), Binding(), True),
        (Binding(), Binding(user_id="a"), False),
        (Binding(user_id="a"), Binding(user_id="a"), True),
        (Binding(user_id="b"), Binding(user_id="a"), False),
        (Binding(user_id="a", run_id="r"), Binding(user_id="a"), True),
        (Binding(user_id="a"), Binding(user_id="a", run_id="r"), False),
    ],
)
def test_binding_is_within_another_when_it_admits_no_more(inner: Binding, outer: Binding, within: bool) -> None:
    assert inner.within(outer) is within


def caller(**binding: str) -> Caller:
    return Caller(
        organization_id=OrganizationId(uuid7()),
        principal_id=PrincipalId("member:1"),
        origin=Origin.AGENT,
        permissions=frozenset(),
        binding=Binding(**binding),
    )


def test_namespace_of_a_caller_cannot_be_imitated_by_another_binding() -> None:
    spaces = {
        caller().namespace,
        caller(user_id="x").namespace,
        caller(user_id="x", run_id="y").namespace,
        caller(user_id='x", null, "y').namespace,
        caller(agent_id="x").namespace,
    }

    assert len(spaces) == 5


def test_background_work_can_neither_delete_nor_administer() -> None:
    held = service_caller(OrganizationId(uuid7())).permissions

    assert not held & {Permission.MEMORY_DELETE, Permission.ORGANIZATION_DELETE, Permission.PLATFORM_MANAGE}
    assert local_operator(OrganizationId(uuid7())).permissions == frozenset(Permission)
