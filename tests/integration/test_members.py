"""Members: who acts in an organization, and who may change whom."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from agentmem import AsyncMemory
from agentmem.errors import Conflict, InvalidCursor, NotFound, PermissionDenied, VersionConflict
from agentmem.schemas.access import Role
from agentmem.schemas.organizations import Member, MemberKind, MemberPatch, NewMember
from tests.support.stores import Store
from tests.support.tenants import caller_of


async def test_administrator_makes_reads_and_changes_members(store: Store, memory: AsyncMemory) -> None:
    admin, members = caller_of(memory, Role.ADMIN), store.app.members
    made = await members.create(admin, NewMember(name="Ada", role=Role.MEMBER, kind=MemberKind.PERSON))
    changed = await members.update(admin, made.id, MemberPatch(role=Role.VIEWER), made.version)

    assert (made.name, made.role, made.kind, made.version) == ("Ada", Role.MEMBER, MemberKind.PERSON, 1)
    assert made.created_by == admin.principal_id
    assert (changed.role, changed.name, changed.version) == (Role.VIEWER, "Ada", 2)
    assert await members.get(admin, made.id) == changed
    with pytest.raises(VersionConflict):
        await members.update(admin, made.id, MemberPatch(name="late"), made.version)


async def test_members_are_listed_page_by_page(store: Store, memory: AsyncMemory) -> None:
    admin, members = caller_of(memory, Role.ADMIN), store.app.members
    made = [(await members.create(admin, NewMember(name=f"m{number}"))).id for number in range(3)]
    first = await members.page(admin, None, 2)
    second = await members.page(admin, first.next_cursor, 2)

    assert [item.id for item in (*first.items, *second.items)] == made
    assert second.next_cursor is None
    with pytest.raises(InvalidCursor):
        await members.page(admin, "none of ours", 2)


@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER, Role.SERVICE])
async def test_ordinary_members_neither_read_nor_change_members(store: Store, memory: AsyncMemory, role: Role) -> None:
    caller = caller_of(memory, role)

    with pytest.raises(PermissionDenied, match="member:read"):
        await store.app.members.page(caller)
    with pytest.raises(PermissionDenied, match="member:write"):
        await store.app.members.create(caller, NewMember(name="friend"))


async def test_only_an_owner_makes_changes_and_disables_owners(store: Store, memory: AsyncMemory) -> None:
    admin, owner, members = caller_of(memory, Role.ADMIN), caller_of(memory, Role.OWNER), store.app.members
    first = await members.create(owner, NewMember(name="first", role=Role.OWNER))
    helper = await members.create(admin, NewMember(name="helper", role=Role.ADMIN))

    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: members.create(admin, NewMember(name="me", role=Role.OWNER)),
        lambda: members.update(admin, helper.id, MemberPatch(role=Role.OWNER)),
        lambda: members.update(admin, first.id, MemberPatch(name="renamed")),
        lambda: members.disable(admin, first.id),
    ]
    for call in calls:
        with pytest.raises(PermissionDenied, match="Only an owner"):
            await call()
    assert (await members.update(owner, helper.id, MemberPatch(role=Role.OWNER))).role is Role.OWNER


async def test_last_enabled_owner_stays(store: Store, memory: AsyncMemory) -> None:
    owner, members = caller_of(memory, Role.OWNER), store.app.members
    first = await members.create(owner, NewMember(name="first", role=Role.OWNER))
    second = await members.create(owner, NewMember(name="second", role=Role.OWNER))
    await members.disable(owner, second.id)

    with pytest.raises(Conflict, match="last enabled owner"):
        await members.disable(owner, first.id)
    with pytest.raises(Conflict, match="last enabled owner"):
        await members.update(owner, first.id, MemberPatch(role=Role.ADMIN))
    with pytest.raises(Conflict, match="last enabled owner"):
        await members.update(owner, first.id, MemberPatch(disabled=True))
    assert (await members.update(owner, first.id, MemberPatch(name="renamed"))).name == "renamed"


async def test_two_owners_who_disable_each_other_at_once_leave_one(store: Store, memory: AsyncMemory) -> None:
    owner, members = caller_of(memory, Role.OWNER), store.app.members
    pair = [await members.create(owner, NewMember(name=name, role=Role.OWNER)) for name in ("one", "two")]
    outcomes = await asyncio.gather(*(members.disable(owner, item.id) for item in pair), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes if not isinstance(outcome, Member)] == [Conflict]


async def test_disabled_member_is_enabled_again_and_disabling_twice_changes_nothing(
    store: Store, memory: AsyncMemory
) -> None:
    admin, members = caller_of(memory, Role.ADMIN), store.app.members
    made = await members.create(admin, NewMember(name="robot"))
    disabled = await members.disable(admin, made.id)

    assert disabled.disabled_at is not None
    assert await members.disable(admin, made.id) == disabled
    assert (await members.update(admin, made.id, MemberPatch(disabled=False))).disabled_at is None


async def test_member_of_another_organization_is_not_found(store: Store, memory: AsyncMemory) -> None:
    other = caller_of(await store.organization(), Role.ADMIN)
    made = await store.app.members.create(other, NewMember(name="theirs"))
    admin = caller_of(memory, Role.ADMIN)

    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: store.app.members.get(admin, made.id),
        lambda: store.app.members.update(admin, made.id, MemberPatch(name="mine")),
        lambda: store.app.members.disable(admin, made.id),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            await call()


async def test_first_owner_is_one_however_many_processes_ask(store: Store, memory: AsyncMemory) -> None:
    owner, members = caller_of(memory, Role.OWNER), store.app.members
    ids = await asyncio.gather(*(members.ensure_owner(owner, "owner") for _ in range(4)))

    assert len(set(ids)) == 1
    assert [item.id for item in (await members.page(owner)).items] == ids[:1]


async def test_standing_tells_what_authentication_needs(store: Store, memory: AsyncMemory) -> None:
    owner, members = caller_of(memory, Role.OWNER), store.app.members
    made = await members.create(owner, NewMember(name="robot"))
    gone = await members.disable(owner, (await members.create(owner, NewMember(name="gone"))).id)
    standing = await members.standing(owner.organization_id, [made.id, gone.id, UUID(int=1)])

    assert {key: (value.role, value.enabled) for key, value in standing.members.items()} == {
        made.id: (Role.SERVICE, True),
        gone.id: (Role.SERVICE, False),
    }
    assert (standing.require_if_match, standing.max_key_days, standing.unused_key_days) == (False, 365, None)
