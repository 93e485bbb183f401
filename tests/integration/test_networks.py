"""From where an organization and the installation may be asked: lists of networks, over REST and at admission."""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import ip_address

import pytest

from agentmem import AsyncMemory
from agentmem.errors import Conflict, NetworkRefused, QuotaExceeded, Unauthenticated
from agentmem.features.organizations.networks import NetworkService
from agentmem.foundation.authorization.caller import Caller
from agentmem.schemas.keys import IssuedKey
from agentmem.schemas.networks import NetworkList, NetworkRule, NewNetworkRule
from tests.support.credentials import HOME, Desk, desk_of, moved
from tests.support.served import api, client, operator_key
from tests.support.stores import Store
from tests.support.tenants import operator_of

ELSEWHERE = "203.0.113.9"
OWN, ALL = "/v1/organization/networks", "/v1/admin/networks"


def rule(network: str, named: NetworkList, seconds: int | None = None) -> NewNetworkRule:
    return NewNetworkRule(network=network, list=named, reason="a test", expires_in_seconds=seconds)


@pytest.fixture
def desk(memory: AsyncMemory) -> Desk:
    return desk_of(memory.app)


@pytest.fixture
async def operator(store: Store) -> AsyncIterator[Caller]:
    """An operator; what it put on the lists of the installation is taken off at the end."""
    caller = await operator_of(store.app)
    yield caller
    for left in (await store.app.networks.page_installation(caller, None, 1000)).items:
        await store.app.networks.remove_installation(caller, left.id)


async def is_taken(desk: Desk, key: IssuedKey, address: str) -> bool:
    desk.admission.forget([])
    try:
        await desk.present(key, address=address)
    except Unauthenticated:
        return False
    return True


async def test_denied_network_is_refused_whatever_is_allowed(memory: AsyncMemory, desk: Desk) -> None:
    key = await desk.make(memory.app.caller)
    assert await is_taken(desk, key, ELSEWHERE)
    await memory.app.networks.add(memory.app.caller, rule("203.0.113.0/24", NetworkList.ALLOW))
    assert await is_taken(desk, key, ELSEWHERE)
    await memory.app.networks.add(memory.app.caller, rule(ELSEWHERE, NetworkList.DENY))

    assert not await is_taken(desk, key, ELSEWHERE)
    assert await is_taken(desk, key, "203.0.113.10")
    assert desk.failures == ["network"]


async def test_nothing_but_what_is_allowed_is_taken_once_anything_is(memory: AsyncMemory, desk: Desk) -> None:
    key = await desk.make(memory.app.caller)
    allowed = await memory.app.networks.add(memory.app.caller, rule("2001:db8::/32", NetworkList.ALLOW))
    assert not await is_taken(desk, key, HOME)
    assert await is_taken(desk, key, "2001:db8::1")
    await memory.app.networks.remove(memory.app.caller, allowed.id)

    assert await is_taken(desk, key, HOME)


async def test_lists_of_one_organization_leave_others_alone(store: Store, memory: AsyncMemory, desk: Desk) -> None:
    neighbour = await store.organization()
    key = await desk.make(neighbour.app.caller)
    await memory.app.networks.add(memory.app.caller, rule("0.0.0.0/0", NetworkList.DENY))

    assert await is_taken(desk, key, HOME)


async def test_rule_ends_when_its_time_is_over(memory: AsyncMemory) -> None:
    caller = memory.app.caller
    await memory.app.networks.add(caller, rule(HOME, NetworkList.DENY, seconds=60))
    key = await desk_of(memory.app).make(caller)
    later = moved(memory.app, seconds=61)

    assert not await is_taken(desk_of(memory.app), key, HOME)
    assert await is_taken(desk_of(memory.app, database=later), key, HOME)
    assert (await NetworkService(database=later).page(caller)).items == []


async def test_denied_by_the_installation_nobody_is_asked_who_they_are(
    store: Store, desk: Desk, memory: AsyncMemory, operator: Caller
) -> None:
    key = await desk.make(memory.app.caller)
    await store.app.networks.add_installation(operator, rule(ELSEWHERE, NetworkList.DENY))
    await desk.admission.installation.refresh()

    for presented in (key, None):
        with pytest.raises(NetworkRefused):
            await desk.present(presented, address=ELSEWHERE)
    with pytest.raises(NetworkRefused):
        await desk.admission.admit_address(ip_address(ELSEWHERE), 1)
    assert await is_taken(desk, key, HOME)


async def test_long_call_ends_once_its_address_is_denied(
    store: Store, desk: Desk, memory: AsyncMemory, operator: Caller
) -> None:
    key = await desk.make(memory.app.caller)
    await store.app.networks.add_installation(operator, rule("::/0", NetworkList.ALLOW))
    await desk.admission.installation.refresh()

    with pytest.raises(NetworkRefused):
        await desk.admission.readmit(desk.presented(key))


async def test_rules_of_the_installation_end_and_change_without_a_restart(store: Store, operator: Caller) -> None:
    desk = desk_of(store.app)
    later = desk_of(store.app, database=moved(store.app, seconds=61))
    await store.app.networks.add_installation(operator, rule(ELSEWHERE, NetworkList.DENY, seconds=60))
    await desk.admission.installation.refresh()
    await later.admission.installation.refresh()

    with pytest.raises(NetworkRefused):
        desk.admission.installation.require(ip_address(ELSEWHERE))
    later.admission.installation.require(ip_address(ELSEWHERE))


async def test_author_is_not_locked_out_unless_forced(memory: AsyncMemory) -> None:
    caller, here, service = memory.app.caller, ip_address(HOME), memory.app.networks
    for locking in (rule(HOME, NetworkList.DENY), rule("203.0.113.0/24", NetworkList.ALLOW)):
        with pytest.raises(Conflict, match="force"):
            await service.add(caller, locking, here)
    assert (await service.page(caller)).items == []
    home = await service.add(caller, rule(HOME, NetworkList.ALLOW), here)
    await service.add(caller, rule("203.0.113.0/24", NetworkList.ALLOW), here)
    with pytest.raises(Conflict, match="force"):
        await service.remove(caller, home.id, here)
    await service.remove(caller, home.id)


async def test_lists_do_not_grow_without_end(store: Store, memory: AsyncMemory) -> None:
    with store.connect_as_owner() as connection:
        connection.execute(
            "INSERT INTO agentmem.network_rules SELECT %s, gen_random_uuid(), 'organization', 'deny', '192.0.2.9/32', "
            "'a test', 'local', now(), NULL FROM generate_series(1, 1000)",
            [memory.app.caller.organization_id],
        )

    with pytest.raises(QuotaExceeded):
        await memory.app.networks.add(memory.app.caller, rule(ELSEWHERE, NetworkList.DENY))


async def test_networks_over_rest(memory: AsyncMemory) -> None:
    async with api(memory) as owner:
        body = {"network": "127.0.0.1", "list": "deny", "reason": "a test"}
        refused = await owner.post(OWN, json=body)
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
        made = await owner.post(OWN, json=body, params={"force": "true"})
        memory.app.admission.forget([])
        assert made.status_code == 201
        assert NetworkRule.model_validate(made.json()).network == "127.0.0.1/32"
        assert (await owner.get(OWN)).status_code == 401
        await memory.app.networks.remove(memory.app.caller, NetworkRule.model_validate(made.json()).id)
        memory.app.admission.forget([])
        assert (await owner.get(OWN)).json()["items"] == []
        assert (await owner.post(OWN, json={**body, "network": "192.0.2.1/24"})).status_code == 422


async def test_denied_address_is_refused_at_the_doorstep_and_health_is_not(store: Store, operator: Caller) -> None:
    async with client(store.app, await operator_key(store.app)) as opened:
        body = {"network": "127.0.0.0/8", "list": "deny", "reason": "a test"}
        assert (await opened.post(ALL, json=body)).status_code == 409
        assert (await opened.post(ALL, json=body, params={"force": "true"})).status_code == 201
        await store.app.admission.installation.refresh()
        refused = await opened.get("/v1/me")
        alive = await opened.get("/health/live")
        (left,) = (await store.app.networks.page_installation(operator)).items
        await store.app.networks.remove_installation(operator, left.id)
        await store.app.admission.installation.refresh()
        again = await opened.get("/v1/me")

    assert (refused.status_code, refused.json()["code"]) == (403, "network_refused")
    assert (alive.status_code, again.status_code) == (200, 200)
