"""Organizations: made by operators, looked after by their own administrators, taken out of use and back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest

from agentmem import AsyncMemory
from agentmem.errors import Conflict, InvalidCursor, NotFound, PermissionDenied, VersionConflict
from agentmem.foundation.authorization.caller import Caller, service_caller
from agentmem.foundation.authorization.platform import platform_id
from agentmem.foundation.authorization.roles import ROLES
from agentmem.kit.ids import OrganizationId
from agentmem.schemas.access import Permission, Role
from agentmem.schemas.memories import Scope
from agentmem.schemas.organizations import (
    NewOrganization,
    Organization,
    OrganizationLimits,
    OrganizationPatch,
    OrganizationStatus,
)
from tests.support.stores import Owner, Store
from tests.support.tenants import acting_as, caller_of, operator_of


@pytest.fixture
async def operator(store: Store) -> Caller:
    return await operator_of(store.app)


async def created(store: Store, operator: Caller, name: str = "Acme") -> tuple[Organization, OrganizationId]:
    made = await store.app.platform.create(operator, NewOrganization(name=name))
    return made, OrganizationId(made.id)


async def test_operator_creates_an_organization_that_can_be_used_at_once(store: Store, operator: Caller) -> None:
    limits = OrganizationLimits(memories=10, requests_per_minute=60)
    made = await store.app.platform.create(operator, NewOrganization(name="Acme", limits=limits))
    owner = acting_as(service_caller(OrganizationId(made.id)), Role.OWNER)
    (member,) = (await store.app.members.page(owner)).items

    assert (made.name, made.status, made.limits, made.version) == ("Acme", OrganizationStatus.ACTIVE, limits, 1)
    assert (member.role, member.name) == (Role.OWNER, "owner")
    assert await store.app.organizations.view(owner) == made
    assert (await store.app.memories.stats(owner, Scope())).memories == 0
    model = await store.app.upkeep.memories.active_model(owner, "another")
    assert model == store.app.models.current.model


async def test_organizations_may_have_one_name_and_never_one_id(store: Store, operator: Caller) -> None:
    _, first = await created(store, operator, "twins")
    _, second = await created(store, operator, "twins")

    assert first != second


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.OPERATOR}))
async def test_members_of_an_organization_do_not_manage_the_platform(
    store: Store, memory: AsyncMemory, operator: Caller, role: Role
) -> None:
    platform, caller = store.app.platform, caller_of(memory, role)
    _, target = await created(store, operator)

    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: platform.create(caller, NewOrganization(name="mine")),
        lambda: platform.list(caller),
        lambda: platform.view(caller, target),
        lambda: platform.set_limits(caller, target, OrganizationLimits()),
        lambda: platform.suspend(caller, target, "why not"),
        lambda: platform.resume(caller, target),
        lambda: platform.delete(caller, target, 0),
        lambda: platform.restore(caller, target),
    ]
    for call in calls:
        with pytest.raises(PermissionDenied, match="platform:manage"):
            await call()


async def test_operator_does_not_read_the_memories_of_anybody(store: Store, operator: Caller) -> None:
    with pytest.raises(PermissionDenied, match="memory:read"):
        await store.app.memories.stats(operator, Scope())


async def test_operator_lists_organizations_page_by_page(store: Store, operator: Caller) -> None:
    made = {(await created(store, operator))[0].id for _ in range(3)}
    seen: list[UUID] = []
    cursor: str | None = None
    while True:
        page = await store.app.platform.list(operator, cursor, 2)
        seen += [item.id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break

    assert made < set(seen)
    assert seen == sorted(seen)
    with pytest.raises(InvalidCursor):
        await store.app.platform.list(operator, "no cursor")


async def test_unknown_organization_is_not_found(store: Store, operator: Caller) -> None:
    with pytest.raises(NotFound):
        await store.app.platform.view(operator, OrganizationId(UUID(int=5)))


async def test_limits_are_set_whole_and_checked_against_the_version(store: Store, operator: Caller) -> None:
    made, target = await created(store, operator)
    limits = OrganizationLimits(storage_bytes=1000)
    changed = await store.app.platform.set_limits(operator, target, limits, made.version)

    assert (changed.limits, changed.version) == (limits, 2)
    with pytest.raises(VersionConflict):
        await store.app.platform.set_limits(operator, target, OrganizationLimits(), made.version)


async def test_suspended_organization_says_why_and_is_resumed(store: Store, operator: Caller) -> None:
    _, target = await created(store, operator)
    suspended = await store.app.platform.suspend(operator, target, "unpaid")
    standing = await store.app.members.standing(target, [])
    resumed = await store.app.platform.resume(operator, target)

    assert (suspended.status, suspended.status_reason) == (OrganizationStatus.SUSPENDED, "unpaid")
    assert standing.status is OrganizationStatus.SUSPENDED
    assert (resumed.status, resumed.status_reason) == (OrganizationStatus.ACTIVE, None)


async def test_platforms_own_organization_is_neither_suspended_nor_deleted(store: Store, operator: Caller) -> None:
    with pytest.raises(Conflict):
        await store.app.platform.suspend(operator, platform_id(), "by mistake")
    with pytest.raises(Conflict):
        await store.app.platform.delete(operator, platform_id(), 0)


async def test_administrator_changes_settings_and_what_is_not_given_stays(store: Store, memory: AsyncMemory) -> None:
    admin = caller_of(memory, Role.ADMIN)
    before = await store.app.organizations.view(admin)
    patch = OrganizationPatch(name="New name", require_if_match=True, unused_key_days=30)
    changed = await store.app.organizations.update(admin, patch, before.version)
    again = await store.app.organizations.update(admin, OrganizationPatch(unused_key_days=None))

    assert (changed.name, changed.require_if_match, changed.unused_key_days) == ("New name", True, 30)
    assert (changed.max_key_days, changed.version) == (before.max_key_days, 2)
    assert (again.unused_key_days, again.name, again.require_if_match) == (None, "New name", True)
    with pytest.raises(VersionConflict):
        await store.app.organizations.update(admin, OrganizationPatch(name="late"), before.version)


async def test_owner_deletes_the_organization_and_takes_it_back(store: Store, memory: AsyncMemory) -> None:
    owner = caller_of(memory, Role.OWNER)
    scheduled = await store.app.organizations.schedule_deletion(owner, 30)
    again = await store.app.organizations.schedule_deletion(owner, 1)
    restored = await store.app.organizations.cancel_deletion(owner)

    assert scheduled.status is OrganizationStatus.DELETING
    assert scheduled.purge_after == scheduled.updated_at + timedelta(days=30)
    assert again == scheduled
    assert (restored.status, restored.purge_after) == (OrganizationStatus.ACTIVE, None)
    with pytest.raises(Conflict):
        await store.app.organizations.cancel_deletion(owner)


async def test_only_the_operator_takes_back_what_the_operator_deleted(store: Store, operator: Caller) -> None:
    _, target = await created(store, operator)
    await store.app.platform.delete(operator, target, 30)
    owner = acting_as(service_caller(target), Role.OWNER)

    with pytest.raises(PermissionDenied):
        await store.app.organizations.cancel_deletion(owner)
    with pytest.raises(Conflict):
        await store.app.platform.suspend(operator, target, "on top")
    assert (await store.app.platform.restore(operator, target)).status is OrganizationStatus.ACTIVE


async def test_what_operators_do_is_in_the_audit_trail_of_the_organization(
    store: Store, operator: Caller, owner: Owner
) -> None:
    _, target = await created(store, operator)
    await store.app.platform.suspend(operator, target, "unpaid")
    await store.app.platform.resume(operator, target)
    await store.app.platform.delete(operator, target, 30)
    entries = owner.execute(
        "SELECT action, actor FROM agentmem.audit_entries WHERE organization_id = %s ORDER BY entry_id", [target]
    ).fetchall()

    assert [action for action, _ in entries if action != "memory.model_changed"] == [
        "organization.registered",
        "member.created",
        "organization.suspended",
        "organization.resumed",
        "organization.deletion_scheduled",
    ]
    assert {actor for _, actor in entries} == {f"operator:{operator.principal_id}"}


async def test_operators_own_organization_records_what_they_create(
    store: Store, operator: Caller, owner: Owner
) -> None:
    _, target = await created(store, operator)
    row = owner.execute(
        "SELECT action, actor, outcome FROM agentmem.audit_entries WHERE organization_id = %s AND targets = %s",
        [platform_id(), [target]],
    ).fetchone()

    assert row == ("organization.creation_ordered", operator.principal_id, "done")


def test_operators_of_the_platform_hold_no_permission_on_memories() -> None:
    assert not [item for item in ROLES[Role.OPERATOR] if item.value.startswith("memory:")]
    assert Permission.PLATFORM_MANAGE in ROLES[Role.OPERATOR]
