"""From a header to a caller: what is refused and how, what is believed for how long, and what it costs."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from ipaddress import ip_address

import pytest

from agentmem import AsyncMemory
from agentmem.errors import OrganizationSuspended, Overloaded, RateLimited, Unauthenticated
from agentmem.features.identity.credential import new_credential
from agentmem.foundation.database.database import Database
from agentmem.foundation.resilience.bulkhead import Bulkhead
from agentmem.foundation.state.memory import MemoryState
from agentmem.pipelines.admission.admission import Presented
from agentmem.pipelines.admission.belief import FRESH_SECONDS
from agentmem.pipelines.admission.quotas import RateLimits
from agentmem.schemas.access import Permission, Role
from agentmem.schemas.keys import KeyEnvironment
from agentmem.schemas.organizations import OrganizationStatus
from tests.support.credentials import HOME, Desk, desk_of, moved
from tests.support.stores import Owner, Store


@pytest.fixture
def desk(memory: AsyncMemory) -> Desk:
    return desk_of(memory.app)


async def refusal(desk: Desk, text: str | None, *, address: str = HOME) -> str:
    """Present what is no good key, and give the one message that there is."""
    with pytest.raises(Unauthenticated) as caught:
        await desk.present(text, address=address)
    return str(caught.value)


async def test_key_becomes_the_caller_that_it_stands_for(memory: AsyncMemory, desk: Desk) -> None:
    acts_as = await desk.member(memory.app.caller, Role.SERVICE)
    issued = await desk.make(memory.app.caller, member_id=acts_as, binding={"user_id": "alice"})
    admitted = await desk.present(issued)

    assert admitted.caller.organization_id == memory.app.caller.organization_id
    assert admitted.caller.principal_id == f"member:{acts_as}"
    assert admitted.caller.permissions == {
        Permission.MEMORY_READ,
        Permission.MEMORY_WRITE,
        Permission.MEMORY_DELETE,
    }
    assert admitted.caller.binding.user_id == "alice"
    assert admitted.caller.api_key_id == issued.api_key.id
    assert admitted.caller.request_id == "request-1"
    assert (admitted.member_id, admitted.role) == (acts_as, Role.SERVICE)


async def test_every_cause_of_refusal_has_the_same_message(memory: AsyncMemory, desk: Desk) -> None:
    good = await desk.make(memory.app.caller)
    assert good.key is not None
    revoked = await desk.make(memory.app.caller)
    await desk.issuing.revoke(memory.app.caller, revoked.api_key.id, "gone")
    elsewhere = await desk.make(memory.app.caller, networks=["198.51.100.0/24"])
    # The id of one key with the secret of another, and a checksum that is right.
    stranger = new_credential(KeyEnvironment.LIVE)

    messages = {
        await refusal(desk, None),
        await refusal(desk, ""),
        await refusal(desk, "not a key"),
        await refusal(desk, good.key[:-1]),
        await refusal(desk, good.key + "a"),
        await refusal(desk, good.key[:-1] + ("a" if good.key[-1] != "a" else "b")),
        await refusal(desk, stranger.text),
        await refusal(desk, revoked.key),
        await refusal(desk, elsewhere.key),
    }
    assert len(messages) == 1
    assert sorted(desk.failures) == sorted(["absent", *["malformed"] * 5, "unknown", "revoked", "network"])


@pytest.mark.parametrize("header", ["Bearer", "Basic {}", "{}", "Bearer {} more", "Bearer {},{}", "Bearer\t{}"])
async def test_header_of_another_form_is_refused(memory: AsyncMemory, desk: Desk, header: str) -> None:
    key = (await desk.make(memory.app.caller)).key
    presented = Presented(authorization=header.format(key, key), address=ip_address(HOME), request_id="r")
    with pytest.raises(Unauthenticated):
        await desk.admission.admit(presented, 1)


async def test_scheme_is_read_in_any_case(memory: AsyncMemory, desk: Desk) -> None:
    key = (await desk.make(memory.app.caller)).key
    presented = Presented(authorization=f"bEARER  {key}", address=ip_address(HOME), request_id="r")

    assert str((await desk.admission.admit(presented, 1)).caller.api_key_id) in str(key)
    assert str(key) not in repr(presented)


async def test_key_with_the_secret_of_another_is_unknown(memory: AsyncMemory, desk: Desk, owner: Owner) -> None:
    one, other = [await desk.make(memory.app.caller) for _ in range(2)]
    owner.execute(
        "UPDATE agentmem.api_keys SET sealed_mac = (SELECT sealed_mac FROM agentmem.api_keys WHERE key_id = %s) "
        "WHERE key_id = %s",
        [one.api_key.id, other.api_key.id],
    )

    await refusal(desk, other.key)
    assert desk.failures == ["unknown"]


async def test_same_row_in_another_organization_makes_no_good_key(
    store: Store, memory: AsyncMemory, desk: Desk, owner: Owner
) -> None:
    # Whoever can write rows, and has no master key, gains no key by moving one to another organization.
    issued = await desk.make(memory.app.caller)
    victim = await store.organization()
    member_id = (await desk.make(victim.app.caller)).api_key.member_id
    victim_id = victim.app.caller.organization_id
    owner.execute(
        "UPDATE agentmem.api_keys SET organization_id = %s, member_id = %s, created_by = %s WHERE key_id = %s",
        [victim_id, member_id, member_id, issued.api_key.id],
    )
    owner.execute(
        "UPDATE agentmem.api_key_directory SET organization_id = %s WHERE key_id = %s", [victim_id, issued.api_key.id]
    )

    await refusal(desk, issued.key)


async def test_key_is_refused_from_the_moment_it_expires(memory: AsyncMemory, desk: Desk) -> None:
    issued = await desk.make(memory.app.caller, expires_in_days=2)

    await desk_of(memory.app, database=moved(memory.app, days=2, seconds=-60)).present(issued)
    late = desk_of(memory.app, database=moved(memory.app, days=2))
    await refusal(late, issued.key)
    assert late.failures == ["expired"]


@pytest.mark.parametrize(
    "address, admitted",
    [("192.0.2.7", True), ("192.0.3.7", False), ("2001:db8::1", True), ("2001:db9::1", False), ("::1", False)],
)
async def test_key_with_networks_is_admitted_from_there_alone(
    memory: AsyncMemory, desk: Desk, address: str, admitted: bool
) -> None:
    issued = await desk.make(memory.app.caller, networks=["192.0.2.0/24", "2001:db8::/32"])

    if admitted:
        await desk.present(issued, address=address)
    else:
        await refusal(desk, issued.key, address=address)


async def test_revocation_is_seen_at_once_by_the_server_that_made_it(memory: AsyncMemory, desk: Desk) -> None:
    issued = await desk.make(memory.app.caller)
    await desk.present(issued)
    await desk.issuing.revoke(memory.app.caller, issued.api_key.id, "gone")

    await refusal(desk, issued.key)


async def test_revocation_is_seen_by_another_server_when_the_message_comes(memory: AsyncMemory) -> None:
    state = MemoryState()
    here, there = desk_of(memory.app, state=state), desk_of(memory.app, state=state)
    issued = await here.make(memory.app.caller)
    following = asyncio.create_task(there.admission.follow_revocations())
    await there.present(issued)
    await here.issuing.revoke(memory.app.caller, issued.api_key.id, "gone")
    await state.aclose()
    await following

    there.admission._state = MemoryState()
    await refusal(there, issued.key)


async def test_revocation_is_seen_without_any_message_before_a_second_has_passed(memory: AsyncMemory) -> None:
    here, deaf = desk_of(memory.app), desk_of(memory.app)
    issued = await here.make(memory.app.caller)
    await deaf.present(issued)
    await here.issuing.revoke(memory.app.caller, issued.api_key.id, "gone")
    await deaf.present(issued)  # It believes what it knows, a little longer.
    deaf.ticks.seconds += FRESH_SECONDS

    await refusal(deaf, issued.key)
    assert FRESH_SECONDS < 1


async def test_many_requests_at_once_look_a_key_up_once(memory: AsyncMemory, desk: Desk) -> None:
    issued = await desk.make(memory.app.caller)
    admitted = await asyncio.gather(*(desk.present(issued) for _ in range(64)))

    assert {one.caller.api_key_id for one in admitted} == {issued.api_key.id}
    assert desk.admission._known._looking == {}


async def test_request_that_goes_away_leaves_the_others_their_answer(memory: AsyncMemory, desk: Desk) -> None:
    issued = await desk.make(memory.app.caller)
    first = asyncio.create_task(desk.present(issued))
    await asyncio.sleep(0)
    second = asyncio.create_task(desk.present(issued))
    await asyncio.sleep(0)
    first.cancel()

    assert (await second).caller.api_key_id == issued.api_key.id
    assert desk.admission._known._looking == {}


async def test_suspended_organization_is_told_so(memory: AsyncMemory, desk: Desk, owner: Owner) -> None:
    issued = await desk.make(memory.app.caller)
    set_status(owner, memory, OrganizationStatus.SUSPENDED)

    with pytest.raises(OrganizationSuspended):
        await desk.present(issued)
    await refusal(desk, new_credential(KeyEnvironment.LIVE).text)


async def test_organization_about_to_be_deleted_can_be_brought_back_by_its_owner_alone(
    memory: AsyncMemory, desk: Desk, owner: Owner
) -> None:
    issued = await desk.make(memory.app.caller)
    admin = await desk.make(memory.app.caller, member_id=str(await desk.member(memory.app.caller, Role.ADMIN)))
    set_status(owner, memory, OrganizationStatus.DELETING)

    permissions = (await desk.present(issued)).caller.permissions
    assert permissions == {Permission.ORGANIZATION_READ, Permission.ORGANIZATION_DELETE}
    with pytest.raises(OrganizationSuspended):
        await desk.present(admin)


def set_status(owner: Owner, memory: AsyncMemory, status: OrganizationStatus) -> None:
    owner.execute(
        "UPDATE agentmem.organization_settings SET status = %s WHERE organization_id = %s",
        [status.value, memory.app.caller.organization_id],
    )


async def test_quotas_of_key_and_organization_are_charged_together(memory: AsyncMemory) -> None:
    desk = desk_of(memory.app, limits=RateLimits(ip=100, key=10, organization=50, failures=5))
    issued = await desk.make(memory.app.caller)
    admitted = await desk.present(issued, cost=4)

    assert [(level.quota.name, level.remaining) for level in admitted.admission.levels] == [
        ("key", 6),
        ("organization", 46),
    ]
    await desk.present(issued, cost=6)
    with pytest.raises(RateLimited) as caught:
        await desk.present(issued)
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= 1


async def test_limit_that_refuses_a_request_is_told(memory: AsyncMemory) -> None:
    desk = desk_of(memory.app, limits=RateLimits(ip=0, key=2, organization=0, failures=0))
    key = await desk.make(memory.app.caller)
    for _ in range(2):
        await desk.present(key)

    with pytest.raises(RateLimited):
        await desk.present(key)

    assert desk.limited == ["key"]


async def test_limit_of_a_key_goes_before_that_of_the_server(memory: AsyncMemory) -> None:
    desk = desk_of(memory.app, limits=RateLimits(ip=0, key=10, organization=0, failures=0))
    issued = await desk.make(memory.app.caller, requests_per_minute=2)
    await desk.present(issued)
    await desk.present(issued)

    with pytest.raises(RateLimited):
        await desk.present(issued)


async def test_whoever_guesses_keys_is_slowed_down_and_locks_nobody_out(memory: AsyncMemory) -> None:
    desk = desk_of(memory.app, limits=RateLimits(ip=0, key=0, organization=0, failures=3))
    issued = await desk.make(memory.app.caller)
    await desk.present(issued)
    for _ in range(3):
        await refusal(desk, new_credential(KeyEnvironment.LIVE).text)
    with pytest.raises(RateLimited):
        await desk.present(new_credential(KeyEnvironment.LIVE).text)

    desk.ticks.seconds += FRESH_SECONDS
    await desk.present(issued)
    await desk.present(await desk.make(memory.app.caller), address="192.0.2.2")


async def test_member_that_is_disabled_ends_its_keys_and_those_it_made(memory: AsyncMemory, desk: Desk) -> None:
    admin = await desk.member(memory.app.caller, Role.ADMIN)
    service = await desk.member(memory.app.caller, Role.SERVICE)
    of_admin = await desk.make(memory.app.caller, member_id=admin)
    made = await desk.make(await desk.caller(of_admin), member_id=service)
    await desk.present(made)
    await desk.members.disable(memory.app.caller, admin)
    desk.ticks.seconds += timedelta(seconds=1).total_seconds()

    await refusal(desk, of_admin.key)
    await refusal(desk, made.key)


async def test_operator_of_another_organization_than_the_platform_is_nobody(
    memory: AsyncMemory, desk: Desk, owner: Owner
) -> None:
    issued = await desk.make(memory.app.caller)
    owner.execute(
        "UPDATE agentmem.members SET role = 'operator' WHERE organization_id = %s",
        [memory.app.caller.organization_id],
    )

    await refusal(desk, issued.key)


async def test_keys_that_are_looked_up_leave_connections_to_the_others(
    memory: AsyncMemory, owner: Owner, store: Store
) -> None:
    small = Database.open(store.app.server, store.app.database.provider, pool_size=2)
    desk = desk_of(memory.app, database=small)
    desk.admission._known._lookups = Bulkhead(most=1, waiting=1)
    strangers = [new_credential(KeyEnvironment.LIVE).text for _ in range(4)]
    await small.keys(memory.app.caller.organization_id)
    with owner.transaction():
        owner.execute("LOCK TABLE agentmem.api_key_directory IN ACCESS EXCLUSIVE MODE")
        looking = [asyncio.create_task(refusal(desk, text)) for text in strangers[:2]]
        await asyncio.sleep(0.1)
        with pytest.raises(Overloaded):
            await desk.present(strangers[2])

        async with small.transaction(memory.app.caller, read_only=True):
            assert not any(task.done() for task in looking)

    assert len(set(await asyncio.gather(*looking))) == 1
    await refusal(desk, strangers[3])
    await small.close()
