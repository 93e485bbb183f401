"""Sessions: signing in, refreshing, ending, and how soon an end is felt."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from agentmem import AsyncMemory
from agentmem.errors import InvalidGrant, NotFound, PermissionDenied, StateUnavailable, TooManySessions, Unauthenticated
from agentmem.features.identity.sessions.model import Device
from agentmem.features.identity.sessions.refresh_token import new_refresh_token, read_refresh_token
from agentmem.foundation.authorization.platform import platform_id
from agentmem.foundation.authorization.roles import ROLES
from agentmem.foundation.state.memory import MemoryState
from agentmem.kit.ids import SessionId
from agentmem.pipelines.signing_in.factors import Where
from agentmem.schemas.access import Permission, Role
from agentmem.schemas.base import parse
from agentmem.schemas.organizations import MemberPatch
from agentmem.schemas.policies import AtCap, SessionPolicy
from agentmem.schemas.sessions import SignIn, Tokens
from tests.support.credentials import moved
from tests.support.sign_ins import PASSWORD, Gatehouse, Person, gatehouse_of, person_of, presented
from tests.support.stores import Owner, Store


@pytest.fixture
async def gatehouse(memory: AsyncMemory) -> Gatehouse:
    return gatehouse_of(memory.app)


@pytest.fixture
async def ada(memory: AsyncMemory) -> Person:
    return await person_of(memory.app)


async def policy_of(memory: AsyncMemory, **fields: object) -> None:
    await memory.app.accounts.policies.update(memory.app.caller, parse(SessionPolicy, fields))


async def refused(gatehouse: Gatehouse, tokens: Tokens) -> bool:
    """Tell whether an access token is refused, whatever was known of its session."""
    try:
        await gatehouse.caller(tokens)
    except Unauthenticated:
        return True
    return False


def refresh_of(tokens: Tokens) -> str:
    assert tokens.refresh_token is not None
    return tokens.refresh_token


async def refreshes(gatehouse: Gatehouse, text: str) -> bool:
    """Use a refresh token, and tell whether it was good."""
    try:
        await gatehouse.signing_in.refresh(text)
    except InvalidGrant:
        return False
    return True


async def test_whoever_signs_in_acts_as_the_member_that_they_are(gatehouse: Gatehouse, ada: Person) -> None:
    tokens = await gatehouse.sign_in(ada)
    caller = await gatehouse.caller(tokens)

    assert caller.principal_id == f"member:{ada.member_id}"
    assert caller.organization_id == ada.caller.organization_id == tokens.organization_id
    assert caller.permissions == ROLES[Role.MEMBER] | {Permission.ACCOUNT_USE}
    assert (caller.account_id, caller.session_id) == (ada.account_id, tokens.session_id)
    assert (caller.amr, caller.acr) == (("pwd",), "aal1")
    assert caller.auth_time is not None
    assert datetime.now(UTC) - caller.auth_time < timedelta(minutes=1)
    assert tokens.expires_in == 600


async def test_wrong_password_and_unknown_address_are_refused_alike(gatehouse: Gatehouse, ada: Person) -> None:
    said = set()
    for email, password in ((ada.email, "wrong"), (f"{uuid4().hex}@example.com", PASSWORD)):
        with pytest.raises(Unauthenticated) as caught:
            await gatehouse.signing_in.sign_in(parse(SignIn, {"email": email, "password": password}), Where())
        said.add(str(caught.value))

    assert len(said) == 1


async def test_account_acts_where_it_asks_to_and_nowhere_else(store: Store, memory: AsyncMemory) -> None:
    gatehouse, ada, other = gatehouse_of(memory.app), await person_of(memory.app), await store.organization()

    at_home = await gatehouse.sign_in(ada, organization_id=ada.caller.organization_id)
    assert at_home.organization_id == ada.caller.organization_id
    with pytest.raises(PermissionDenied):
        await gatehouse.sign_in(ada, organization_id=other.app.caller.organization_id)


async def test_refresh_gives_new_tokens_of_the_same_session(gatehouse: Gatehouse, ada: Person) -> None:
    first = await gatehouse.sign_in(ada)
    second = await gatehouse.signing_in.refresh(refresh_of(first))

    assert second.session_id == first.session_id
    assert second.refresh_token != first.refresh_token
    assert (await gatehouse.caller(second)).session_id == first.session_id


async def test_token_used_again_within_the_grace_gets_another_one(gatehouse: Gatehouse, ada: Person) -> None:
    first = await gatehouse.sign_in(ada)
    lost = await gatehouse.signing_in.refresh(refresh_of(first))
    again = await gatehouse.signing_in.refresh(refresh_of(first))

    assert again.refresh_token not in {lost.refresh_token, first.refresh_token}
    assert (await gatehouse.signing_in.refresh(refresh_of(again))).session_id == first.session_id


async def test_token_used_after_the_grace_ends_the_session(memory: AsyncMemory, ada: Person) -> None:
    now, later = gatehouse_of(memory.app), gatehouse_of(memory.app, database=moved(memory.app, seconds=11))
    first = await now.sign_in(ada)
    second = await now.signing_in.refresh(refresh_of(first))

    with pytest.raises(InvalidGrant):
        await later.signing_in.refresh(refresh_of(first))
    with pytest.raises(InvalidGrant):
        await now.signing_in.refresh(refresh_of(second))
    assert await refused(now, second)
    trail = await memory.app.audit.read(replace(memory.app.caller, organization_id=platform_id()), None, 1000)
    reuse = [entry for entry in trail if entry.action == "session.reuse_detected" and first.session_id in entry.targets]
    assert len(reuse) == 1
    assert ada.account_id in reuse[0].targets


async def test_token_two_generations_old_ends_the_session_even_within_the_grace(
    gatehouse: Gatehouse, ada: Person
) -> None:
    first = await gatehouse.sign_in(ada)
    second = await gatehouse.signing_in.refresh(refresh_of(first))
    third = await gatehouse.signing_in.refresh(refresh_of(second))

    with pytest.raises(InvalidGrant):
        await gatehouse.signing_in.refresh(refresh_of(first))
    with pytest.raises(InvalidGrant):
        await gatehouse.signing_in.refresh(refresh_of(third))


async def test_refreshes_at_once_leave_one_lineage(gatehouse: Gatehouse, ada: Person) -> None:
    first = await gatehouse.sign_in(ada)
    made = await asyncio.gather(*(gatehouse.signing_in.refresh(refresh_of(first)) for _ in range(20)))
    texts = [refresh_of(tokens) for tokens in made]

    assert len(set(texts)) == 20
    assert len([text for text in texts if await refreshes(gatehouse, text)]) <= 1
    assert not await refreshes(gatehouse, texts[-1])


@pytest.mark.parametrize("text", ["", "amr_", "not a token", "amr_" + "0" * 22 + "_" + "0" * 49])
async def test_what_is_no_refresh_token_is_refused(gatehouse: Gatehouse, ada: Person, text: str) -> None:
    with pytest.raises(InvalidGrant):
        await gatehouse.signing_in.refresh(text)


async def test_session_ends_after_an_hour_alone_and_a_day_in_all(memory: AsyncMemory, ada: Person) -> None:
    now = gatehouse_of(memory.app)
    tokens = await now.sign_in(ada)
    alone = await now.sign_in(ada)
    for step in range(1, 27):
        then = gatehouse_of(memory.app, database=moved(memory.app, hours=step * 0.9))
        tokens = await then.signing_in.refresh(refresh_of(tokens))
    end = gatehouse_of(memory.app, database=moved(memory.app, hours=24.01))

    assert not await refreshes(end, refresh_of(tokens))
    assert await refused(end, tokens)
    assert not await refreshes(gatehouse_of(memory.app, database=moved(memory.app, hours=1.01)), refresh_of(alone))


async def test_use_keeps_a_session_alive_and_is_written_down_once_a_minute(memory: AsyncMemory, ada: Person) -> None:
    tokens = await gatehouse_of(memory.app).sign_in(ada)
    seen = []
    for seconds in (30, 300, 310):
        there = gatehouse_of(memory.app, database=moved(memory.app, seconds=seconds))
        await there.caller(tokens)
        (session,) = await there.signing_in.own(await there.caller(tokens))
        seen.append(session.last_seen_at)

    assert seen[0] < seen[1] == seen[2]


async def test_own_sessions_are_listed_and_ended_one_by_one_or_all_but_this(gatehouse: Gatehouse, ada: Person) -> None:
    device = Device(address="198.51.100.7", agent="a browser")
    mine, second, third = [await gatehouse.sign_in(ada, where=Where(device=device)) for _ in range(3)]
    caller = await gatehouse.caller(mine)
    listed = await gatehouse.signing_in.own(caller)

    assert [session.id for session in listed] == [mine.session_id, second.session_id, third.session_id]
    assert [session.current for session in listed] == [True, False, False]
    assert (listed[0].address, listed[0].agent) == ("198.51.100.7", "a browser")
    await gatehouse.signing_in.end_own(caller, second.session_id)
    assert await refused(gatehouse, second)
    with pytest.raises(NotFound):
        await gatehouse.signing_in.end_own(caller, second.session_id)
    assert await gatehouse.signing_in.end_others(caller) == 1
    assert await refused(gatehouse, third)
    assert not await refused(gatehouse, mine)


async def test_nobody_ends_the_session_of_somebody_else(memory: AsyncMemory, gatehouse: Gatehouse, ada: Person) -> None:
    hers, eve = await gatehouse.sign_in(ada), await person_of(memory.app)
    caller = await gatehouse.caller(await gatehouse.sign_in(eve))

    with pytest.raises(NotFound):
        await gatehouse.signing_in.end_own(caller, hers.session_id)
    with pytest.raises(PermissionDenied):
        await gatehouse.signing_in.end_of_account(caller, ada.account_id)
    await gatehouse.sign_in(eve, where=Where(replaces=SessionId(hers.session_id)))
    assert not await refused(gatehouse, hers)


async def test_signing_in_again_from_a_session_takes_its_place(gatehouse: Gatehouse, ada: Person) -> None:
    old = await gatehouse.sign_in(ada)
    new = await gatehouse.sign_in(ada, where=Where(replaces=SessionId(old.session_id)))

    assert new.session_id != old.session_id
    assert await refused(gatehouse, old)


async def test_oldest_sessions_make_room(memory: AsyncMemory, gatehouse: Gatehouse, ada: Person) -> None:
    await policy_of(memory, max_sessions=2)
    made = [await gatehouse.sign_in(ada) for _ in range(4)]

    assert [await refused(gatehouse, tokens) for tokens in made] == [True, True, False, False]


@pytest.mark.parametrize("at_cap", [AtCap.DENY_NEW, AtCap.EVICT_OLDEST, AtCap.UNLIMITED])
async def test_sign_ins_at_once_never_pass_the_cap(
    memory: AsyncMemory, gatehouse: Gatehouse, ada: Person, at_cap: AtCap
) -> None:
    await policy_of(memory, max_sessions=3, at_cap=at_cap)
    proof = await gatehouse.signing_in._proof(ada.account_id, None, ("pwd",))
    opened = await asyncio.gather(
        *(gatehouse.signing_in.open(proof, Where()) for _ in range(12)), return_exceptions=True
    )
    granted = [one for one in opened if isinstance(one, Tokens)]

    assert all(isinstance(one, Tokens | TooManySessions) for one in opened)
    assert len(granted) == (3 if at_cap is AtCap.DENY_NEW else 12)
    left = [tokens for tokens in granted if not await refused(gatehouse, tokens)]
    assert len(left) == (12 if at_cap is AtCap.UNLIMITED else 3)


async def test_disabled_member_loses_access_when_it_is_looked_at_again(
    memory: AsyncMemory, gatehouse: Gatehouse, ada: Person
) -> None:
    tokens = await gatehouse.sign_in(ada)
    await gatehouse.caller(tokens)
    await memory.app.members.update(memory.app.caller, ada.member_id, MemberPatch(disabled=True))

    await gatehouse.desk.present(tokens.access_token)  # believed for less than a second
    gatehouse.desk.ticks.seconds += 0.8
    gatehouse.forget_copies()
    with pytest.raises(Unauthenticated):
        await gatehouse.desk.present(tokens.access_token)
    with pytest.raises(PermissionDenied):
        await gatehouse.sign_in(ada)


@pytest.mark.parametrize("column", ["disabled_at", "valid_after"])
async def test_disabled_account_and_changed_password_end_sessions(
    gatehouse: Gatehouse, ada: Person, owner: Owner, column: str
) -> None:
    tokens = await gatehouse.sign_in(ada)
    assert not await refused(gatehouse, tokens)
    owner.execute(f"UPDATE agentmem.accounts SET {column} = now() WHERE account_id = %s", [ada.account_id])

    assert await refused(gatehouse, tokens)
    with pytest.raises(InvalidGrant):
        await gatehouse.signing_in.refresh(refresh_of(tokens))


async def test_end_is_told_to_other_servers_and_felt_without_the_telling(memory: AsyncMemory, ada: Person) -> None:
    state = MemoryState()
    here, there, apart = (gatehouse_of(memory.app, state=one) for one in (state, state, MemoryState()))
    tokens = await here.sign_in(ada)
    following = asyncio.create_task(there.desk.admission.follow_ends())
    await asyncio.sleep(0)
    for gatehouse in (here, there, apart):
        await gatehouse.desk.present(tokens.access_token)
    await here.signing_in.end_own(ada.own, tokens.session_id)
    for _ in range(5):
        await asyncio.sleep(0)

    for gatehouse in (here, there):
        with pytest.raises(Unauthenticated):
            await gatehouse.desk.present(tokens.access_token)
    await apart.desk.present(tokens.access_token)
    apart.desk.ticks.seconds += 0.8
    apart.forget_copies()
    with pytest.raises(Unauthenticated):
        await apart.desk.present(tokens.access_token)
    await state.aclose()
    await following


async def test_state_holds_neither_the_session_nor_what_it_is_in_clear(memory: AsyncMemory, ada: Person) -> None:
    state = MemoryState()
    gatehouse = gatehouse_of(memory.app, state=state)
    tokens = await gatehouse.sign_in(ada)
    await gatehouse.caller(tokens)
    kept = {key: value for key, (_, value) in state._values.items()}
    (value,) = [value for (_, key), value in kept.items() if key.startswith("session:")]

    for secret in (str(tokens.session_id), UUID(str(tokens.session_id)).hex, str(ada.account_id), ada.email):
        assert secret.encode() not in value
        assert all(secret not in key for _, key in kept)


async def test_forged_copy_of_a_session_is_not_believed(memory: AsyncMemory, ada: Person) -> None:
    state = MemoryState()
    gatehouse = gatehouse_of(memory.app, state=state)
    tokens = await gatehouse.sign_in(ada)
    await gatehouse.caller(tokens)
    for place in list(state._values):
        if place[1].startswith("session:"):
            state._values[place] = (state._values[place][0], b'{"session": {}, "standing": {}}')

    assert (await gatehouse.caller(tokens)).permissions == ROLES[Role.MEMBER] | {Permission.ACCOUNT_USE}


async def test_nobody_is_let_in_without_the_shared_state_where_that_is_asked_for(
    memory: AsyncMemory, ada: Person
) -> None:
    class Silent(MemoryState):
        async def ping(self) -> None:
            raise StateUnavailable("Redis does not answer.")

    gatehouse = gatehouse_of(memory.app, state=Silent())
    tokens = await gatehouse.sign_in(ada)
    assert not await refused(gatehouse, tokens)
    gatehouse.desk.admission.people._need_state = True
    with pytest.raises(StateUnavailable):
        await gatehouse.caller(tokens)


async def test_revoked_tokens_end_their_session_and_invented_ones_nothing(gatehouse: Gatehouse, ada: Person) -> None:
    first, second = await gatehouse.sign_in(ada), await gatehouse.sign_in(ada)
    assert second.access_token is not None
    known = read_refresh_token(refresh_of(first))
    assert known is not None
    await gatehouse.signing_in.revoke(new_refresh_token(known.family_id).text)
    await gatehouse.signing_in.revoke("nothing")
    assert not await refused(gatehouse, first)
    await gatehouse.signing_in.revoke(refresh_of(first))
    assert await refused(gatehouse, first)
    await gatehouse.signing_in.revoke(second.access_token)
    assert await refused(gatehouse, second)


async def test_swept_sessions_are_those_that_are_long_over(memory: AsyncMemory, ada: Person, owner: Owner) -> None:
    gatehouse = gatehouse_of(memory.app)
    ended, live = await gatehouse.sign_in(ada), await gatehouse.sign_in(ada)
    await gatehouse.signing_in.end_own(ada.own, ended.session_id)
    platform = replace(memory.app.caller, organization_id=platform_id())
    later = gatehouse_of(memory.app, database=moved(memory.app, hours=25))
    await gatehouse.signing_in.sweep(platform)
    assert len(rows(owner, ada)) == 2
    await later.signing_in.sweep(platform)
    assert rows(owner, ada) == [live.session_id]


def rows(owner: Owner, person: Person) -> list[object]:
    found = owner.execute("SELECT session_id FROM agentmem.account_sessions WHERE account_id = %s", [person.account_id])
    return [row[0] for row in found.fetchall()]


async def test_long_request_ends_with_its_session(gatehouse: Gatehouse, ada: Person) -> None:
    tokens = await gatehouse.sign_in(ada)
    await gatehouse.desk.admission.readmit(presented(tokens))
    await gatehouse.signing_in.end_own(ada.own, tokens.session_id)
    with pytest.raises(Unauthenticated):
        await gatehouse.desk.admission.readmit(presented(tokens))
