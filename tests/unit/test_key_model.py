"""The rules of keys: what one may do, and what may be made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.errors import AgentMemError, Conflict, Fault, InvalidInput, PermissionDenied
from agentmem.features.identity.model import (
    LONGEST_CHAIN,
    Ceiling,
    StoredKey,
    Terms,
    admits,
    is_sound,
    key_number,
    member_of,
    permissions_of,
    principal_of,
    require_managed,
    require_rank,
    terms_of_new,
    terms_of_successor,
)
from agentmem.foundation.authorization.caller import BOUND_PERMISSIONS, Binding, local_operator
from agentmem.foundation.authorization.roles import ROLES
from agentmem.kit.ids import OrganizationId
from agentmem.kit.networks import parse_address, parse_network
from agentmem.schemas.access import Permission, Role
from agentmem.schemas.base import parse
from agentmem.schemas.keys import ApiKey, KeyEnvironment, NewApiKey
from agentmem.schemas.memories import Scope

OWNER, ADMIN, SERVICE, GONE = (UUID(int=number) for number in range(1, 5))
MEMBERS = {OWNER: Role.OWNER, ADMIN: Role.ADMIN, SERVICE: Role.SERVICE}
EVERYTHING = frozenset(Permission)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

PERMISSIONS = st.frozensets(st.sampled_from(Permission), min_size=1)
HOME = parse_network("192.0.2.0/24")
IDS = st.none() | st.sampled_from(["alice", "bob"])
BINDINGS = st.builds(Binding, user_id=IDS, agent_id=IDS)
NETWORKS = st.lists(st.sampled_from(["192.0.2.0/24", "192.0.2.128/25", "10.0.0.0/8", "2001:db8::/32"]), max_size=2)


def key(number: int, *, parent: int | None = None, member: UUID = OWNER, by: UUID = OWNER) -> StoredKey:
    return StoredKey(
        organization_id=OrganizationId(UUID(int=9)),
        key_id=f"{number:012}",
        member_id=member,
        created_by=by,
        parent_key_id=None if parent is None else f"{parent:012}",
        secret_mac=b"secret",
        scopes=EVERYTHING,
        binding=Binding(),
        networks=(),
        requests_per_minute=None,
        expires_at=NOON,
        revoked_at=None,
    )


def ceiling(**fields: object) -> Ceiling:
    plain = Ceiling(
        creator=OWNER,
        rank=Role.OWNER,
        acts_as=OWNER,
        role=Role.OWNER,
        permissions=EVERYTHING,
        binding=Binding(),
        networks=(),
        requests_per_minute=None,
        parent_key_id=None,
        depth=0,
        default_days=90,
        most_days=365,
    )
    return replace(plain, **fields)  # type: ignore[arg-type]


def new(**fields: object) -> NewApiKey:
    return parse(NewApiKey, {"name": "a key", **fields})


def test_key_may_what_its_member_its_creator_and_its_scopes_all_allow() -> None:
    assert permissions_of([key(1)], MEMBERS) == ROLES[Role.OWNER]
    assert permissions_of([key(1, by=ADMIN)], MEMBERS) == ROLES[Role.ADMIN]
    assert permissions_of([key(1, member=SERVICE)], MEMBERS) == ROLES[Role.SERVICE]
    reading = replace(key(1), scopes=frozenset({Permission.MEMORY_READ}))
    assert permissions_of([reading], MEMBERS) == {Permission.MEMORY_READ}
    assert permissions_of([replace(key(1), binding=Binding(user_id="alice"))], MEMBERS) == BOUND_PERMISSIONS


@pytest.mark.parametrize("chain", [[key(1, member=GONE)], [key(1, by=GONE)], [key(2, parent=1), key(1, by=GONE)]])
def test_key_of_a_member_that_is_gone_may_nothing(chain: list[StoredKey]) -> None:
    assert permissions_of(chain, MEMBERS) == frozenset()


@given(st.lists(PERMISSIONS, min_size=1, max_size=4), st.sampled_from(list(MEMBERS)), st.sampled_from(list(MEMBERS)))
def test_no_key_may_more_than_any_key_above_it(scopes: list[frozenset[Permission]], member: UUID, by: UUID) -> None:
    chain = [replace(key(number, member=member, by=by), scopes=one) for number, one in enumerate(scopes)]

    allowed = permissions_of(chain, MEMBERS)
    assert all(allowed <= one for one in scopes)
    assert allowed <= ROLES[MEMBERS[member]]
    assert allowed <= ROLES[MEMBERS[by]]
    assert all(allowed <= permissions_of(chain[above:], {**MEMBERS, member: Role.OWNER}) for above in range(len(chain)))


def test_chain_is_sound_when_it_is_whole_and_every_key_is_bound_within_the_one_above() -> None:
    bound = replace(key(1), binding=Binding(user_id="alice"))
    assert is_sound([key(2, parent=1), key(1)])
    assert is_sound([replace(key(2, parent=1), binding=Binding(user_id="alice", run_id="r")), bound])
    assert not is_sound([key(2, parent=1), bound])
    assert not is_sound([replace(key(2, parent=1), binding=Binding(user_id="bob")), bound])
    assert not is_sound([key(2, parent=1)])
    assert not is_sound([key(2, parent=3), key(1)])


def stands(**fields: object) -> ApiKey:
    """A key as it stands, made for forty days by an administrator for an owner."""
    plain = ApiKey(
        id="000000000007",
        name="a key",
        member_id=OWNER,
        created_by=ADMIN,
        parent_key_id="000000000003",
        environment=KeyEnvironment.LIVE,
        last_four="abcd",
        scopes=[Permission.MEMORY_READ, Permission.MEMORY_WRITE],
        binding=Scope(user_id="alice", agent_id="a", run_id="r", app_id="p"),
        networks=["192.0.2.0/24", "192.0.2.0/24"],
        requests_per_minute=7,
        created_at=NOON,
        expires_at=NOON + timedelta(days=40),
        version=1,
    )
    return plain.model_copy(update=fields)


def test_new_key_is_what_was_asked_for_and_acts_for_whom_it_is_meant() -> None:
    made = terms_of_new(
        new(
            scopes=["memory:read"],
            binding={"user_id": "alice", "agent_id": "a", "run_id": "r", "app_id": "p"},
            networks=["192.0.2.0/24", "192.0.2.0/24"],
            expires_in_days=3,
            requests_per_minute=7,
        ),
        ceiling(creator=ADMIN, acts_as=SERVICE, role=Role.SERVICE, parent_key_id="000000000003"),
    )

    assert made == Terms(
        name="a key",
        member_id=SERVICE,
        created_by=ADMIN,
        parent_key_id="000000000003",
        made_with="000000000003",
        rotated_from=None,
        scopes=frozenset({Permission.MEMORY_READ}),
        binding=Binding(user_id="alice", agent_id="a", run_id="r", app_id="p"),
        networks=(parse_network("192.0.2.0/24"),),
        requests_per_minute=7,
        life=timedelta(days=3),
    )


def test_successor_is_what_the_key_was_and_says_who_rotated_it() -> None:
    assert terms_of_successor(stands(), ceiling(parent_key_id="000000000009")) == Terms(
        name="a key",
        member_id=OWNER,
        created_by=ADMIN,
        parent_key_id="000000000003",
        made_with="000000000009",
        rotated_from="000000000007",
        scopes=frozenset({Permission.MEMORY_READ, Permission.MEMORY_WRITE}),
        binding=Binding(user_id="alice", agent_id="a", run_id="r", app_id="p"),
        networks=(parse_network("192.0.2.0/24"),),
        requests_per_minute=7,
        life=timedelta(days=40),
    )


def test_successor_is_below_the_one_who_rotates_as_the_organization_stands_now() -> None:
    outside = (parse_network("10.0.0.0/8"),)

    assert terms_of_successor(stands(), ceiling(most_days=30)).life == timedelta(days=30)
    assert terms_of_successor(stands(networks=[]), ceiling(networks=outside)).networks == outside
    assert terms_of_successor(stands(requests_per_minute=None), ceiling(requests_per_minute=5)).requests_per_minute == 5
    assert terms_of_successor(stands(), ceiling(binding=Binding(user_id="alice"))).binding.user_id == "alice"
    for above, why in (
        (ceiling(rank=Role.ADMIN), "admin neither makes nor manages keys that act as owner"),
        (ceiling(permissions=frozenset({Permission.MEMORY_READ})), "more than its creator has: memory:write"),
        (ceiling(networks=outside), "networks reach beyond"),
        (ceiling(requests_per_minute=6), "6 requests a minute"),
        (ceiling(binding=Binding(user_id="bob")), "^The key reaches memories that the one who rotates it does not.$"),
    ):
        with pytest.raises(PermissionDenied, match=why):
            terms_of_successor(stands(), above)


def test_new_key_may_all_that_its_creator_and_its_member_may_unless_it_is_bound() -> None:
    bound = {"user_id": "alice"}

    assert terms_of_new(new(), ceiling()).scopes == ROLES[Role.OWNER]
    assert terms_of_new(new(), ceiling(role=Role.SERVICE)).scopes == ROLES[Role.SERVICE]
    assert terms_of_new(new(binding=bound), ceiling()).scopes == ROLES[Role.OWNER] & BOUND_PERMISSIONS


@pytest.mark.parametrize("days, most, life", [(None, 365, 90), (None, 30, 30), (365, 365, 365), (1, 365, 1)])
def test_new_key_lasts_as_long_as_was_asked_or_by_default(days: int | None, most: int, life: int) -> None:
    assert terms_of_new(new(expires_in_days=days), ceiling(most_days=most)).life == timedelta(days=life)


def refusal(call: Callable[[], object]) -> tuple[str, str | None]:
    with pytest.raises(AgentMemError) as refused:
        call()
    return refused.value.message, refused.value.hint


def test_whoever_is_refused_a_key_is_told_why_and_what_to_do() -> None:
    reader = frozenset({Permission.MEMORY_READ})
    writing = new(scopes=["memory:write", "memory:delete"])
    served = ceiling(acts_as=SERVICE, role=Role.SERVICE)

    assert refusal(lambda: terms_of_new(new(), ceiling(depth=8))) == (
        "The key is the 8th in a row of keys that made each other.",
        "Create the new key with one that stands nearer to the first.",
    )
    assert refusal(lambda: terms_of_new(new(), ceiling(binding=Binding(user_id="bob")))) == (
        "The key's binding reaches memories that its creator does not.",
        None,
    )
    assert refusal(lambda: terms_of_new(writing, ceiling(permissions=reader))) == (
        "A key cannot be given more than its creator has: memory:delete, memory:write.",
        "Leave these scopes out, or let somebody create the key who has them.",
    )
    assert refusal(lambda: terms_of_new(new(scopes=["key:read"]), served)) == (
        "Input is not valid: scopes: a key of the role service cannot have key:read.",
        None,
    )
    bound = new(scopes=["memory:read", "audit:read", "key:read"], binding={"user_id": "alice"})
    assert refusal(lambda: terms_of_new(bound, ceiling())) == (
        "Input is not valid: scopes: a key of the role owner with a binding cannot have audit:read, key:read.",
        None,
    )
    assert refusal(lambda: terms_of_new(new(), ceiling(role=Role.SERVICE, permissions=frozenset()))) == (
        "The key would have no permission at all.",
        "Ask for another member or binding.",
    )


def test_whoever_is_refused_more_than_they_have_is_told_how_much_that_is() -> None:
    assert refusal(lambda: terms_of_new(new(networks=["10.0.0.0/8"]), ceiling(networks=(HOME,)))) == (
        "The key's networks reach beyond those of the key that creates it.",
        None,
    )
    assert refusal(lambda: terms_of_new(new(requests_per_minute=11), ceiling(requests_per_minute=10))) == (
        "The key that creates this one may send 10 requests a minute itself.",
        None,
    )
    assert refusal(lambda: terms_of_new(new(expires_in_days=31), ceiling(most_days=30))) == (
        "expires_in_days is 31, and the organization allows 30 days at most.",
        None,
    )
    assert refusal(lambda: require_rank(ceiling(role=Role.OWNER, rank=Role.ADMIN))) == (
        "The role admin neither makes nor manages keys that act as owner.",
        "Ask somebody of the role owner.",
    )
    reader = frozenset({Permission.MEMORY_READ})
    two = replace(key(1), scopes=frozenset({Permission.MEMORY_WRITE, Permission.MEMORY_DELETE}))
    assert refusal(lambda: require_managed([two], ceiling(permissions=reader))) == (
        "The key may do more than whoever manages it: memory:delete, memory:write.",
        "Ask somebody who has these permissions.",
    )


def test_field_that_is_wrong_is_named() -> None:
    with pytest.raises(InvalidInput) as refused:
        terms_of_new(new(networks=["10.0.0.0/8", "nowhere"]), ceiling())

    message = "is not a network in the form address/bits"
    assert refused.value.message == f"Input is not valid: networks.1: {message}."
    assert refused.value.faults == (Fault(field="networks.1", message=message),)


def test_key_whose_scopes_its_member_lost_is_managed_by_what_is_left_of_it() -> None:
    served = ceiling(acts_as=SERVICE, role=Role.SERVICE, permissions=ROLES[Role.SERVICE])

    require_managed([key(1, member=SERVICE)], served)


def test_networks_of_every_key_above_hold_too() -> None:
    inner = replace(key(2, parent=1), networks=(parse_network("192.0.2.0/24"),))
    outer = replace(key(1), networks=(parse_network("192.0.2.128/25"),))

    assert admits([inner, outer], parse_address("192.0.2.200"))
    assert not admits([inner, outer], parse_address("192.0.2.1"))
    assert admits([key(1)], parse_address("203.0.113.1"))


def test_key_is_good_until_the_moment_it_expires_or_is_revoked() -> None:
    assert key(1).is_good_at(NOON - timedelta(microseconds=1))
    assert not key(1).is_good_at(NOON)
    assert not replace(key(1), revoked_at=NOON).is_good_at(NOON - timedelta(days=1))


@given(
    held=PERMISSIONS,
    asked=PERMISSIONS | st.none(),
    outer=BINDINGS,
    inner=BINDINGS,
    allowed=NETWORKS,
    wanted=NETWORKS,
    role=st.sampled_from(list(Role)),
)
def test_whatever_is_asked_for_a_new_key_is_within_its_ceiling(
    *,
    held: frozenset[Permission],
    asked: frozenset[Permission] | None,
    outer: Binding,
    inner: Binding,
    allowed: list[str],
    wanted: list[str],
    role: Role,
) -> None:
    top = ceiling(permissions=held, binding=outer, role=role, networks=tuple(map(parse_network, allowed)))
    request = new(
        scopes=None if asked is None else sorted(asked),
        binding={"user_id": inner.user_id, "agent_id": inner.agent_id},
        networks=wanted,
    )
    try:
        terms = terms_of_new(request, top)
    except AgentMemError as error:
        assert isinstance(error, PermissionDenied | InvalidInput)  # noqa: PT017  # a refusal is one of two outcomes
        return
    assert terms.scopes <= held & ROLES[role]
    assert asked is None or terms.scopes == asked
    assert terms.binding.within(outer)
    assert terms.binding.is_empty or terms.scopes <= BOUND_PERMISSIONS
    for text in ("192.0.2.1", "192.0.2.200", "10.1.1.1", "2001:db8::1", "203.0.113.1"):
        address = parse_address(text)
        inside = not top.networks or any(address in network for network in top.networks)
        assert inside or not admits([replace(key(1), networks=terms.networks)], address)


def test_rate_of_a_new_key_is_at_most_that_of_the_key_that_makes_it() -> None:
    assert terms_of_new(new(), ceiling(requests_per_minute=10)).requests_per_minute == 10
    assert terms_of_new(new(requests_per_minute=5), ceiling(requests_per_minute=10)).requests_per_minute == 5
    assert terms_of_new(new(requests_per_minute=10), ceiling(requests_per_minute=10)).requests_per_minute == 10
    assert terms_of_new(new(requests_per_minute=5), ceiling()).requests_per_minute == 5
    with pytest.raises(PermissionDenied, match="10 requests a minute"):
        terms_of_new(new(requests_per_minute=11), ceiling(requests_per_minute=10))


def test_row_of_keys_that_make_each_other_comes_to_an_end() -> None:
    terms_of_new(new(), ceiling(depth=LONGEST_CHAIN - 1))
    with pytest.raises(Conflict, match="8th in a row"):
        terms_of_new(new(), ceiling(depth=LONGEST_CHAIN))


def test_nobody_makes_or_manages_keys_that_act_as_somebody_who_may_more() -> None:
    require_rank(ceiling(role=Role.OWNER, rank=Role.OWNER))
    require_rank(ceiling(role=Role.SERVICE, rank=Role.ADMIN))
    above = ceiling(role=Role.OWNER, rank=Role.ADMIN)
    for refused in (lambda: terms_of_new(new(), above), lambda: require_managed([key(1)], above)):
        with pytest.raises(PermissionDenied, match="admin neither makes nor manages keys that act as owner"):
            refused()


def test_key_is_managed_by_who_may_all_that_it_can_do() -> None:
    reading = replace(key(1), scopes=frozenset({Permission.MEMORY_READ}))
    managing = ceiling(permissions=frozenset({Permission.KEY_WRITE, Permission.MEMORY_READ}))
    require_managed([reading], managing)
    require_managed([key(2, parent=1), reading], managing)
    require_managed([replace(key(1), binding=Binding(user_id="alice"))], ceiling(permissions=BOUND_PERMISSIONS))
    with pytest.raises(PermissionDenied, match="memory:delete"):
        require_managed([key(1)], managing)
    with pytest.raises(PermissionDenied, match="key:write"):
        require_managed([key(1)], ceiling(permissions=BOUND_PERMISSIONS))


def test_members_and_keys_have_names_for_the_audit_trail() -> None:
    caller = local_operator(OrganizationId(UUID(int=9)))

    assert member_of(caller) is None
    assert member_of(replace(caller, principal_id=principal_of(ADMIN))) == ADMIN
    assert len({key_number(text) for text in ("000000000000", "000000000001", "zzzzzzzzzzzz")}) == 3
