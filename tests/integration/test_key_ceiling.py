"""A key never exceeds who made it: not when it is made, and not when its maker shrinks afterwards."""

from __future__ import annotations

from itertools import pairwise

import pytest

from agentmem import AsyncMemory
from agentmem.errors import Conflict, PermissionDenied, Unauthenticated
from agentmem.features.identity.model import LONGEST_CHAIN
from agentmem.foundation.authorization.roles import ROLES
from agentmem.schemas.access import Permission, Role
from agentmem.schemas.base import parse
from agentmem.schemas.keys import ApiKeyPatch
from agentmem.schemas.organizations import MemberPatch
from tests.support.credentials import Desk, desk_of
from tests.support.stores import Owner, Store

MANAGING = ["key:read", "key:write"]


@pytest.fixture
def desk(memory: AsyncMemory) -> Desk:
    return desk_of(memory.app)


async def test_key_made_by_a_key_has_at_most_its_scopes(memory: AsyncMemory, desk: Desk) -> None:
    parent = await desk.caller(await desk.make(memory.app.caller, scopes=["key:write", "memory:read"]))
    child = await desk.make(parent)

    assert (await desk.caller(child)).permissions == {Permission.KEY_WRITE, Permission.MEMORY_READ}
    assert child.api_key.parent_key_id == parent.api_key_id
    with pytest.raises(PermissionDenied, match="memory:write"):
        await desk.make(parent, scopes=["memory:read", "memory:write"])


async def test_key_without_the_scope_makes_no_keys(memory: AsyncMemory, desk: Desk) -> None:
    reading = await desk.caller(await desk.make(memory.app.caller, scopes=["memory:read", "key:read"]))
    target = await desk.make(memory.app.caller)

    with pytest.raises(PermissionDenied, match="key:write"):
        await desk.make(reading)
    with pytest.raises(PermissionDenied, match="key:write"):
        await desk.issuing.rotate(reading, target.api_key.id, 0)
    with pytest.raises(PermissionDenied, match="key:write"):
        await desk.issuing.revoke(reading, target.api_key.id, "attack")
    with pytest.raises(PermissionDenied, match="key:write"):
        await desk.issuing.update(reading, target.api_key.id, parse(ApiKeyPatch, {"name": "mine"}))


async def test_bound_key_makes_no_keys_at_all(memory: AsyncMemory, desk: Desk) -> None:
    with pytest.raises(PermissionDenied, match="key:write"):
        await desk.make(await desk.caller(await desk.make(memory.app.caller, binding={"user_id": "alice"})))


async def test_admin_makes_no_key_that_acts_as_an_owner(memory: AsyncMemory, desk: Desk) -> None:
    made_by_owner = await desk.make(memory.app.caller, scopes=["memory:read"])
    admin_id = await desk.member(memory.app.caller, Role.ADMIN)
    admin = await desk.caller(await desk.make(memory.app.caller, member_id=admin_id))

    with pytest.raises(PermissionDenied, match="act as owner"):
        await desk.make(admin, member_id=made_by_owner.api_key.member_id)
    with pytest.raises(PermissionDenied, match="act as owner"):
        await desk.issuing.rotate(admin, made_by_owner.api_key.id, 0)
    assert (await desk.make(admin)).api_key.member_id == admin_id


async def test_nobody_gains_scopes_by_rotating_a_stronger_key(memory: AsyncMemory, desk: Desk) -> None:
    strong = await desk.make(memory.app.caller)
    weak = await desk.caller(await desk.make(memory.app.caller, scopes=MANAGING))

    with pytest.raises(PermissionDenied, match="more than its creator"):
        await desk.issuing.rotate(weak, strong.api_key.id, 0)
    assert (await desk.present(strong)).caller.permissions == ROLES[Role.OWNER]


async def test_nobody_adds_scopes_that_they_lack(memory: AsyncMemory, desk: Desk) -> None:
    target = await desk.make(memory.app.caller, scopes=["memory:read"])
    weak = await desk.caller(await desk.make(memory.app.caller, scopes=[*MANAGING, "memory:read"]))

    with pytest.raises(PermissionDenied, match="memory:write"):
        await desk.issuing.update(
            weak, target.api_key.id, parse(ApiKeyPatch, {"scopes": ["memory:read", "memory:write"]})
        )
    added = parse(ApiKeyPatch, {"scopes": ["memory:read", "key:read"]})
    assert len((await desk.issuing.update(weak, target.api_key.id, added)).scopes) == 2


async def test_networks_and_rate_are_handed_down(memory: AsyncMemory, desk: Desk) -> None:
    parent = await desk.make(memory.app.caller, networks=["192.0.2.0/24"], requests_per_minute=100)
    caller = await desk.caller(parent)
    child = await desk.make(caller)

    assert (child.api_key.networks, child.api_key.requests_per_minute) == (["192.0.2.0/24"], 100)
    with pytest.raises(PermissionDenied, match="networks"):
        await desk.make(caller, networks=["192.0.2.0/23"])
    with pytest.raises(PermissionDenied, match="100 requests a minute"):
        await desk.make(caller, requests_per_minute=101)


async def test_key_shrinks_with_the_role_of_its_creator(memory: AsyncMemory, desk: Desk) -> None:
    owner = memory.app.caller
    admin_id = await desk.member(owner, Role.ADMIN)
    service_id = await desk.member(owner, Role.SERVICE)
    made = await desk.make(await desk.caller(await desk.make(owner, member_id=admin_id)), member_id=service_id)
    assert (await desk.caller(made)).permissions == ROLES[Role.SERVICE]

    await desk.members.update(owner, admin_id, MemberPatch(role=Role.VIEWER))
    assert (await desk.caller(made)).permissions == {Permission.MEMORY_READ}
    await desk.members.update(owner, admin_id, MemberPatch(role=Role.ADMIN))
    assert (await desk.caller(made)).permissions == ROLES[Role.SERVICE]


async def test_key_shrinks_with_the_scopes_and_networks_of_the_key_that_made_it(
    memory: AsyncMemory, desk: Desk
) -> None:
    owner = memory.app.caller
    parent = await desk.make(owner)
    child = await desk.make(await desk.caller(parent))
    await desk.issuing.update(owner, parent.api_key.id, parse(ApiKeyPatch, {"scopes": ["memory:read"]}))
    assert (await desk.caller(child)).permissions == {Permission.MEMORY_READ}

    await desk.issuing.update(owner, parent.api_key.id, parse(ApiKeyPatch, {"networks": ["198.51.100.0/24"]}))
    desk.admission.forget([])
    with pytest.raises(Unauthenticated):
        await desk.present(child)
    await desk.present(child, address="198.51.100.7")


async def test_end_of_a_key_leaves_those_it_made_below_its_ceiling(memory: AsyncMemory, desk: Desk) -> None:
    parent = await desk.make(memory.app.caller, scopes=["key:write", "memory:read"])
    child = await desk.make(await desk.caller(parent))
    await desk.issuing.revoke(memory.app.caller, parent.api_key.id, "its time is over")

    assert (await desk.caller(child)).permissions == {Permission.KEY_WRITE, Permission.MEMORY_READ}


async def test_row_of_keys_that_make_each_other_ends(memory: AsyncMemory, desk: Desk) -> None:
    key = await desk.make(memory.app.caller)
    for _ in range(LONGEST_CHAIN - 1):
        key = await desk.make(await desk.caller(key))
    assert (await desk.caller(key)).permissions == ROLES[Role.OWNER]

    with pytest.raises(Conflict, match="in a row"):
        await desk.make(await desk.caller(key))


async def test_longer_row_than_is_ever_made_is_not_believed(memory: AsyncMemory, desk: Desk, owner: Owner) -> None:
    keys = [await desk.make(memory.app.caller) for _ in range(LONGEST_CHAIN + 1)]
    for key, parent in pairwise(keys):
        owner.execute(
            "UPDATE agentmem.api_keys SET parent_key_id = %s WHERE key_id = %s", [parent.api_key.id, key.api_key.id]
        )

    with pytest.raises(Unauthenticated):
        await desk.present(keys[0])
    await desk.present(keys[1])


async def test_keys_that_name_each_other_as_parents_are_refused(memory: AsyncMemory, desk: Desk, owner: Owner) -> None:
    one, other = await desk.make(memory.app.caller), await desk.make(memory.app.caller)
    for key, parent in ((one, other), (other, one)):
        owner.execute(
            "UPDATE agentmem.api_keys SET parent_key_id = %s WHERE key_id = %s", [parent.api_key.id, key.api_key.id]
        )

    with pytest.raises(Unauthenticated):
        await desk.present(one)
    await desk.issuing.revoke(memory.app.caller, one.api_key.id, "damaged", descendants=True)


async def test_member_of_another_organization_is_no_creator_here(
    store: Store, memory: AsyncMemory, desk: Desk, owner: Owner
) -> None:
    key = await desk.make(memory.app.caller)
    foreign = await desk.make((await store.organization()).app.caller)
    owner.execute(
        "UPDATE agentmem.api_keys SET created_by = %s WHERE key_id = %s",
        [foreign.api_key.member_id, key.api_key.id],
    )

    with pytest.raises(Unauthenticated):
        await desk.present(key)


async def test_nobody_manages_a_key_that_may_more(memory: AsyncMemory, desk: Desk) -> None:
    caller = memory.app.caller
    strong = await desk.make(caller, networks=["192.0.2.0/24"], requests_per_minute=10)
    weak = await desk.make(caller, scopes=["memory:read"])
    admin = await desk.caller(await desk.make(caller, member_id=await desk.member(caller, Role.ADMIN)))
    managing = await desk.caller(await desk.make(caller, scopes=["key:write", "memory:read"]))

    for manager in (admin, managing):
        for name, value in (("networks", []), ("requests_per_minute", None), ("name", "mine")):
            with pytest.raises(PermissionDenied):
                await desk.issuing.update(manager, strong.api_key.id, parse(ApiKeyPatch, {name: value}))
        for descendants in (False, True):
            with pytest.raises(PermissionDenied):
                await desk.issuing.revoke(manager, strong.api_key.id, "attack", descendants=descendants)
        with pytest.raises(PermissionDenied):
            await desk.issuing.rotate(manager, strong.api_key.id, 0)
    stands = await desk.keys.get(caller, strong.api_key.id)
    assert stands == strong.api_key
    with pytest.raises(PermissionDenied, match="admin neither makes nor manages"):
        await desk.issuing.revoke(admin, weak.api_key.id, "an owner's key, however little it may do")
    assert (await desk.issuing.revoke(managing, weak.api_key.id, "not needed")).revoked_at is not None


async def test_key_manages_what_it_made_after_it_was_narrowed_itself(memory: AsyncMemory, desk: Desk) -> None:
    parent = await desk.make(memory.app.caller, scopes=["key:write", "memory:read", "memory:write"])
    child = await desk.make(await desk.caller(parent))
    await desk.issuing.update(
        memory.app.caller, parent.api_key.id, parse(ApiKeyPatch, {"scopes": ["key:write", "memory:read"]})
    )

    narrowed = await desk.caller(parent)
    assert (await desk.issuing.revoke(narrowed, child.api_key.id, "done")).revoked_at is not None


async def test_keys_of_a_disabled_member_can_be_ended(memory: AsyncMemory, desk: Desk) -> None:
    caller = memory.app.caller
    member = await desk.member(caller, Role.MEMBER)
    key = await desk.make(caller, member_id=member)
    admin = await desk.caller(await desk.make(caller, member_id=await desk.member(caller, Role.ADMIN)))
    await desk.members.update(caller, member, MemberPatch(disabled=True))

    assert (await desk.issuing.revoke(admin, key.api_key.id, "left")).revoked_at is not None
    with pytest.raises(PermissionDenied, match="disabled"):
        await desk.issuing.rotate(admin, key.api_key.id, 0)


async def test_refused_management_of_a_key_is_in_the_audit_trail(memory: AsyncMemory, desk: Desk, owner: Owner) -> None:
    strong = await desk.make(memory.app.caller)
    admin = await desk.caller(
        await desk.make(memory.app.caller, member_id=await desk.member(memory.app.caller, Role.ADMIN))
    )
    with pytest.raises(PermissionDenied):
        await desk.issuing.revoke(admin, strong.api_key.id, "attack")

    entry = owner.execute(
        "SELECT action, actor, outcome FROM agentmem.audit_entries WHERE organization_id = %s "
        "ORDER BY entry_id DESC LIMIT 1",
        [memory.app.caller.organization_id],
    ).fetchone()
    assert entry == ("key.revoked", admin.principal_id, "denied")
