"""API keys from their making to their end, as their organization sees them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from zlib import crc32

import pytest

from agentmem import AsyncMemory
from agentmem.errors import (
    Conflict,
    InvalidCursor,
    InvalidInput,
    NotFound,
    PermissionDenied,
    Unauthenticated,
    VersionConflict,
)
from agentmem.features.identity.credential import CHECKSUM_LENGTH, SECRET_LENGTH
from agentmem.features.identity.model import key_number
from agentmem.foundation.authorization.caller import service_caller
from agentmem.kit.base62 import encode_base62
from agentmem.schemas.access import Permission, Role
from agentmem.schemas.base import parse
from agentmem.schemas.keys import ApiKeyPatch, IssuedKey, NewApiKey
from agentmem.schemas.organizations import MemberPatch
from tests.support.credentials import Desk, desk_of, moved
from tests.support.stores import Owner, Store


@pytest.fixture
def desk(memory: AsyncMemory) -> Desk:
    return desk_of(memory.app)


def patch(**fields: object) -> ApiKeyPatch:
    return parse(ApiKeyPatch, fields)


async def works(desk: Desk, key: IssuedKey) -> bool:
    """Tell whether a key is admitted now."""
    desk.admission.forget([])
    try:
        await desk.present(key)
    except Unauthenticated:
        return False
    return True


async def test_key_is_shown_once_and_stored_nowhere(memory: AsyncMemory, desk: Desk, owner: Owner) -> None:
    issued = await desk.make(memory.app.caller)
    assert issued.key is not None
    secret = issued.key.split("_")[3]
    listed = (await desk.keys.page(memory.app.caller, None, 10)).items

    assert listed == [issued.api_key]
    assert issued.key.endswith(issued.api_key.last_four)
    assert secret not in repr(issued)
    assert secret not in repr(listed)
    for table in ("api_keys", "api_key_directory", "audit_entries"):
        rows = owner.execute(f"SELECT t::text FROM agentmem.{table} t").fetchall()
        assert secret not in repr(rows)
        assert table == "audit_entries" or issued.api_key.id in repr(rows)


async def test_key_lasts_ninety_days_and_never_longer_than_the_organization_allows(
    memory: AsyncMemory, desk: Desk, owner: Owner
) -> None:
    async def life(**fields: object) -> timedelta:
        key = (await desk.make(memory.app.caller, **fields)).api_key
        return key.expires_at - key.created_at

    assert await life() == timedelta(days=90)
    assert await life(expires_in_days=365) == timedelta(days=365)
    with pytest.raises(PermissionDenied, match=r"expires_in_days is 366, .* 365 days at most"):
        await life(expires_in_days=366)

    owner.execute(
        "UPDATE agentmem.organization_settings SET max_key_days = 30 WHERE organization_id = %s",
        [memory.app.caller.organization_id],
    )
    assert await life() == timedelta(days=30)


async def test_pages_list_every_key_once_the_newest_first(memory: AsyncMemory, desk: Desk) -> None:
    made = [(await desk.make(memory.app.caller)).api_key.id for _ in range(5)]
    first = await desk.keys.page(memory.app.caller, None, 2)
    second = await desk.keys.page(memory.app.caller, first.next_cursor, 2)
    third = await desk.keys.page(memory.app.caller, second.next_cursor, 2)

    assert [key.id for page in (first, second, third) for key in page.items] == made[::-1]
    assert third.next_cursor is None
    with pytest.raises(InvalidCursor):
        await desk.keys.page(memory.app.caller, "nonsense", 2)


async def test_update_changes_what_is_given_and_nothing_else(memory: AsyncMemory, desk: Desk) -> None:
    caller = memory.app.caller
    key = (await desk.make(caller, requests_per_minute=10)).api_key
    changed = await desk.issuing.update(
        caller, key.id, patch(name="renamed", scopes=["memory:read"], networks=["192.0.2.7"])
    )

    assert (changed.name, changed.scopes, changed.networks) == ("renamed", [Permission.MEMORY_READ], ["192.0.2.7/32"])
    assert changed.requests_per_minute == 10
    assert changed.version == key.version + 1
    assert (await desk.issuing.update(caller, key.id, patch(requests_per_minute=None))).requests_per_minute is None
    assert (await desk.keys.get(caller, key.id)).version == key.version + 2


async def test_update_at_another_version_is_refused(memory: AsyncMemory, desk: Desk) -> None:
    key = (await desk.make(memory.app.caller)).api_key
    await desk.issuing.update(memory.app.caller, key.id, patch(name="first"), key.version)

    with pytest.raises(VersionConflict):
        await desk.issuing.update(memory.app.caller, key.id, patch(name="second"), key.version)
    assert (await desk.keys.get(memory.app.caller, key.id)).name == "first"


async def test_narrowed_scopes_hold_for_the_next_request(memory: AsyncMemory, desk: Desk) -> None:
    issued = await desk.make(memory.app.caller)
    await desk.present(issued)
    await desk.issuing.update(memory.app.caller, issued.api_key.id, patch(scopes=["memory:read"]))

    assert (await desk.present(issued)).caller.permissions == {Permission.MEMORY_READ}


@pytest.mark.parametrize("networks", [["192.0.2.1/24"], ["192.0.2.0/24", "somewhere"], ["fe80::1%eth0"]])
async def test_networks_that_are_none_are_refused_by_their_place(
    memory: AsyncMemory, desk: Desk, networks: list[str]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await desk.make(memory.app.caller, networks=networks)
    assert [fault.field for fault in caught.value.faults] == [f"networks.{len(networks) - 1}"]


async def test_rotated_key_works_beside_its_successor_until_the_overlap_ends(memory: AsyncMemory, desk: Desk) -> None:
    caller = memory.app.caller
    old = await desk.make(caller, scopes=["memory:read"], binding={"user_id": "alice"}, networks=["192.0.2.0/24"])
    new = await desk.issuing.rotate(caller, old.api_key.id, 3600)

    assert new.key != old.key
    assert new.api_key.rotated_from == old.api_key.id
    kept = {"name", "member_id", "created_by", "scopes", "binding", "networks", "environment"}
    assert new.api_key.model_dump(include=kept) == old.api_key.model_dump(include=kept)
    assert await works(desk, old)
    assert await works(desk, new)
    later = desk_of(memory.app, database=moved(memory.app, seconds=3600))
    assert not await works(later, old)
    assert await works(later, new)


async def test_rotation_without_overlap_ends_the_old_key_now(memory: AsyncMemory, desk: Desk) -> None:
    old = await desk.make(memory.app.caller)
    new = await desk.issuing.rotate(memory.app.caller, old.api_key.id, 0)

    assert not await works(desk, old)
    assert await works(desk, new)
    with pytest.raises(Conflict, match="expired"):
        await desk.issuing.rotate(memory.app.caller, old.api_key.id, 0)


async def test_rotation_never_lengthens_the_life_of_the_old_key(memory: AsyncMemory, desk: Desk) -> None:
    old = await desk.make(memory.app.caller, expires_in_days=1)
    await desk.issuing.rotate(memory.app.caller, old.api_key.id, 7 * 24 * 3600)

    assert (await desk.keys.get(memory.app.caller, old.api_key.id)).expires_at == old.api_key.expires_at


async def test_revoking_twice_keeps_the_first_time_and_reason(memory: AsyncMemory, desk: Desk) -> None:
    key = (await desk.make(memory.app.caller)).api_key
    first = await desk.issuing.revoke(memory.app.caller, key.id, "lost")
    again = await desk.issuing.revoke(memory.app.caller, key.id, "another reason")

    assert first == again
    assert first.revoke_reason == "lost"
    assert first.revoked_at is not None


async def test_keys_made_with_a_revoked_one_go_only_when_asked(memory: AsyncMemory, desk: Desk) -> None:
    parent = await desk.make(memory.app.caller)
    child = await desk.make(await desk.caller(parent))
    grandchild = await desk.make(await desk.caller(child))
    beside = await desk.make(memory.app.caller)
    await desk.issuing.revoke(memory.app.caller, parent.api_key.id, "rotated by hand")
    assert [await works(desk, key) for key in (parent, child, grandchild, beside)] == [False, True, True, True]

    await desk.issuing.revoke(memory.app.caller, parent.api_key.id, "stolen", descendants=True)
    assert [await works(desk, key) for key in (parent, child, grandchild, beside)] == [False, False, False, True]


async def test_leaked_key_ends_with_everything_that_it_can_have_made(
    memory: AsyncMemory, desk: Desk, owner: Owner
) -> None:
    leaked = await desk.make(memory.app.caller)
    thief = await desk.caller(leaked)
    child = await desk.make(thief)
    successor = await desk.issuing.rotate(thief, leaked.api_key.id, 3600)
    assert leaked.key is not None

    assert await desk.issuing.report_leak(leaked.key)
    assert [await works(desk, key) for key in (leaked, child, successor)] == [False, False, False]
    entry = owner.execute(
        "SELECT action, actor, targets FROM agentmem.audit_entries WHERE organization_id = %s "
        "ORDER BY entry_id DESC LIMIT 1",
        [memory.app.caller.organization_id],
    ).fetchone()
    assert entry is not None
    assert entry[:2] == ("key.revoked", "service")
    assert set(entry[2]) == {key_number(key.api_key.id) for key in (leaked, child, successor)}  # type: ignore[call-overload]


async def test_successor_of_a_leaked_key_that_could_not_have_made_it_stays(memory: AsyncMemory, desk: Desk) -> None:
    leaked = await desk.make(memory.app.caller, scopes=["memory:read"])
    successor = await desk.issuing.rotate(memory.app.caller, leaked.api_key.id, 3600)
    assert leaked.key is not None

    assert await desk.issuing.report_leak(leaked.key)
    assert [await works(desk, key) for key in (leaked, successor)] == [False, True]


async def test_report_without_the_whole_key_ends_nothing(memory: AsyncMemory, desk: Desk) -> None:
    issued = await desk.make(memory.app.caller)
    other = await desk.make(memory.app.caller)
    assert issued.key is not None
    assert other.key is not None

    assert not await desk.issuing.report_leak(issued.key[:-1])
    assert not await desk.issuing.report_leak(issued.api_key.id)
    assert not await desk.issuing.report_leak("")
    assert await works(desk, issued)
    assert not await desk.issuing.report_leak(_with_another_secret(issued.key, other.key))
    assert await works(desk, issued)


def _with_another_secret(text: str, other: str) -> str:
    """Give a key with the id of one and the secret of another, and a checksum that is right."""
    body = "_".join([*text.split("_")[:3], other.split("_")[3][:SECRET_LENGTH]])
    return body + encode_base62(crc32(body.encode()), CHECKSUM_LENGTH)


@pytest.mark.parametrize("ended", ["revoked", "expired"])
async def test_report_of_a_key_that_has_ended_ends_what_the_thief_made_with_it(
    memory: AsyncMemory, desk: Desk, owner: Owner, ended: str
) -> None:
    leaked = await desk.make(memory.app.caller)
    child = await desk.make(await desk.caller(leaked))
    beside = await desk.make(memory.app.caller)
    assert leaked.key is not None
    if ended == "revoked":
        await desk.issuing.revoke(memory.app.caller, leaked.api_key.id, "not wanted any more")
    else:
        owner.execute(
            "UPDATE agentmem.api_keys SET expires_at = now() WHERE organization_id = %s AND key_id = %s",
            [memory.app.caller.organization_id, leaked.api_key.id],
        )
    assert await works(desk, child)

    assert await desk.issuing.report_leak(leaked.key)
    assert (await works(desk, child), await works(desk, beside)) == (False, True)


async def test_report_of_a_disabled_members_key_outlasts_the_disabling(memory: AsyncMemory, desk: Desk) -> None:
    member = await desk.member(memory.app.caller, Role.ADMIN)
    leaked = await desk.make(memory.app.caller, member_id=member)
    assert leaked.key is not None
    await desk.members.update(memory.app.caller, member, MemberPatch(disabled=True))

    assert await desk.issuing.report_leak(leaked.key)
    await desk.members.update(memory.app.caller, member, MemberPatch(disabled=False))
    assert not await works(desk, leaked)


async def test_key_that_a_thief_rotated_goes_with_the_one_it_was_rotated_with(memory: AsyncMemory, desk: Desk) -> None:
    beside = await desk.make(memory.app.caller)
    leaked = await desk.make(memory.app.caller)
    theirs = await desk.issuing.rotate(await desk.caller(leaked), beside.api_key.id, 3600)
    ours = await desk.issuing.rotate(memory.app.caller, leaked.api_key.id, 3600)
    assert leaked.key is not None

    assert await desk.issuing.report_leak(leaked.key)
    assert [await works(desk, key) for key in (leaked, theirs, ours)] == [False, False, True]


async def test_last_key_of_the_owners_is_never_ended_for_being_unused(
    memory: AsyncMemory, desk: Desk, owner: Owner
) -> None:
    caller = service_caller(memory.app.caller.organization_id)
    admin = await desk.make(memory.app.caller, member_id=await desk.member(memory.app.caller, Role.ADMIN))
    reading = await desk.make(memory.app.caller, scopes=["memory:read"])
    older, newer = await desk.make(memory.app.caller), await desk.make(memory.app.caller)
    owner.execute(
        "UPDATE agentmem.organization_settings SET unused_key_days = 30 WHERE organization_id = %s",
        [memory.app.caller.organization_id],
    )
    later = desk_of(memory.app, database=moved(memory.app, days=31))

    assert await later.issuing.expire_unused(caller) == 3
    assert [await works(desk, key) for key in (admin, reading, older, newer)] == [False, False, False, True]
    assert await later.issuing.expire_unused(caller) == 0


async def test_unused_keys_end_when_the_organization_says_so(memory: AsyncMemory, desk: Desk, owner: Owner) -> None:
    caller = service_caller(memory.app.caller.organization_id)
    unused, used = await desk.make(memory.app.caller), await desk.make(memory.app.caller)
    later = desk_of(memory.app, database=moved(memory.app, days=31))
    later.admission.meter.count((await later.present(used)).caller, "/v1/me", 200, 1)
    await later.admission.meter.flush()
    assert await later.issuing.expire_unused(caller) == 0

    owner.execute(
        "UPDATE agentmem.organization_settings SET unused_key_days = 30 WHERE organization_id = %s",
        [memory.app.caller.organization_id],
    )
    assert await desk.issuing.expire_unused(caller) == 0
    assert await later.issuing.expire_unused(caller) == 1
    assert (await works(desk, unused), await works(desk, used)) == (False, True)
    assert (await desk.keys.get(memory.app.caller, unused.api_key.id)).revoke_reason == "not used for 30 days"


async def test_key_of_another_organization_is_not_found(store: Store, memory: AsyncMemory, desk: Desk) -> None:
    other = await store.organization()
    foreign = await desk.make(other.app.caller)
    caller, key_id = memory.app.caller, foreign.api_key.id

    with pytest.raises(NotFound):
        await desk.keys.get(caller, key_id)
    with pytest.raises(NotFound):
        await desk.issuing.update(caller, key_id, patch(name="mine"))
    with pytest.raises(NotFound):
        await desk.issuing.rotate(caller, key_id, 0)
    with pytest.raises(NotFound):
        await desk.issuing.revoke(caller, key_id, "attack", descendants=True)
    with pytest.raises(NotFound):
        await desk.make(caller, member_id=foreign.api_key.member_id)
    assert (await desk.keys.page(caller, None, 10)).items == []
    assert await works(desk, foreign)


async def test_parallel_rotations_of_one_key_make_one_chain_of_successors(memory: AsyncMemory, desk: Desk) -> None:
    old = await desk.make(memory.app.caller)
    results = await asyncio.gather(
        *(desk.issuing.rotate(memory.app.caller, old.api_key.id, 0) for _ in range(4)), return_exceptions=True
    )

    assert len([one for one in results if isinstance(one, IssuedKey)]) == 1
    assert len([one for one in results if isinstance(one, Conflict)]) == 3


async def test_every_change_of_a_key_is_audited_with_its_number(memory: AsyncMemory, desk: Desk, owner: Owner) -> None:
    caller = memory.app.caller
    key = (await desk.make(caller)).api_key
    await desk.issuing.update(caller, key.id, patch(name="renamed"))
    successor = (await desk.issuing.rotate(caller, key.id, 10)).api_key
    await desk.issuing.revoke(caller, key.id, "gone")
    viewer = await desk.make(caller, member_id=await desk.member(caller, Role.VIEWER))
    with pytest.raises(PermissionDenied):
        await desk.issuing.create(await desk.caller(viewer), NewApiKey(name="denied"))
    entries = owner.execute(
        "SELECT action, outcome, targets FROM agentmem.audit_entries "
        "WHERE organization_id = %s AND action LIKE 'key.%%' ORDER BY entry_id",
        [caller.organization_id],
    ).fetchall()

    number = key_number(key.id)
    assert [entry[:2] for entry in entries] == [
        ("key.created", "done"),
        ("key.updated", "done"),
        ("key.rotated", "done"),
        ("key.revoked", "done"),
        ("key.created", "done"),
        ("key.created", "denied"),
    ]
    assert [entry[2] for entry in entries[:4]] == [[number], [number], [number, key_number(successor.id)], [number]]
