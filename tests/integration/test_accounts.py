"""Accounts, and what it takes to guess their passwords."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from uuid import uuid4

import pytest

from agentmem.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    PermissionDenied,
    RateLimited,
    Unauthenticated,
    VersionConflict,
    WeakPassword,
)
from agentmem.features.identity.accounts.attempts import AttemptService
from agentmem.features.identity.accounts.model import ENDED
from agentmem.features.identity.accounts.throttles import Throttles
from agentmem.foundation.authorization.caller import Caller, accounts_caller, service_caller
from agentmem.foundation.authorization.platform import platform_id
from agentmem.foundation.passwords.hashing import Passwords
from agentmem.foundation.state.memory import MemoryState
from agentmem.kit.clock import utc_now
from agentmem.kit.ids import AccountId
from agentmem.schemas.access import Role
from agentmem.schemas.accounts import NewAccount
from agentmem.schemas.organizations import MemberKind, NewMember
from agentmem.schemas.policies import LockoutPolicy, PasswordPolicy, PolicyKind, SessionPolicy
from tests.support.children import next_line, python_child
from tests.support.people import ANOTHER, PASSWORD, account_of, address
from tests.support.stores import Owner, Store
from tests.support.tenants import operator_of
from tests.support.walls import rows_of

HOME = ip_address("192.0.2.1")


@pytest.fixture
async def operator(store: Store) -> Caller:
    """An operator of the platform."""
    return await operator_of(store.app)


async def test_right_password_gives_the_account_and_a_token_of_the_device(store: Store, operator: Caller) -> None:
    account = await account_of(store.app, operator)

    signed_in = await store.app.accounts.check.verify(account.email.upper(), PASSWORD)

    assert signed_in.account_id == account.id
    assert signed_in.device not in repr(signed_in)


@pytest.mark.parametrize("address", ["ada", "a b@example.com", "@example.com", "ada@", "ada@exa mple.com", "a@b@c"])
async def test_what_is_no_address_is_refused(store: Store, operator: Caller, address: str) -> None:
    with pytest.raises(InvalidInput, match="email"):
        await store.app.accounts.service.find(operator, address)


async def test_address_has_one_account_however_it_is_written(store: Store, operator: Caller) -> None:
    local = uuid4().hex
    made = await store.app.accounts.service.create(
        operator, NewAccount(email=f"{local}@Bücher.example", name="Ada"), None, verified=True
    )

    found = await store.app.accounts.service.find(operator, f" {local.upper()}@xn--bcher-kva.example")

    assert found == made
    with pytest.raises(Conflict, match="has an account"):
        await store.app.accounts.service.create(
            operator, NewAccount(email=f"{local}@BÜCHER.example", name="Eve"), None, verified=True
        )


async def test_refusals_are_the_same_for_every_cause(store: Store, operator: Caller) -> None:
    check = store.app.accounts.check
    account = await account_of(store.app, operator)
    locked = await account_of(store.app, operator)
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await check.verify(locked.email, "no")
    told = []
    for email, password in ((account.email, "no"), ("nobody@example.com", PASSWORD), (locked.email, PASSWORD)):
        with pytest.raises(Unauthenticated) as refused:
            await check.verify(email, password)
        told.append(str(refused.value))

    assert len(set(told)) == 1


async def test_parallel_guesses_are_never_more_than_the_limit(store: Store, operator: Caller) -> None:
    account = await account_of(store.app, operator)
    attempts = AttemptService(database=store.app.database)
    policy = await store.app.accounts.check.lockout()
    caller = accounts_caller()
    tried = await asyncio.gather(*(attempts.begin(caller, account.email, None, policy) for _ in range(40)))

    assert sum(attempt.admitted for attempt in tried) == policy.failures


async def test_whoever_locks_an_account_does_not_lock_its_owners_device(store: Store, operator: Caller) -> None:
    check = store.app.accounts.check
    account = await account_of(store.app, operator)
    device = (await check.verify(account.email, PASSWORD)).device
    for _ in range(6):
        with pytest.raises(Unauthenticated):
            await check.verify(account.email, "a guess")

    with pytest.raises(Unauthenticated):
        await check.verify(account.email, PASSWORD)
    assert (await check.verify(account.email, PASSWORD, device)).device == device


async def test_token_of_another_accounts_device_is_a_strangers(store: Store, operator: Caller) -> None:
    check = store.app.accounts.check
    account, other = await account_of(store.app, operator), await account_of(store.app, operator)
    device = (await check.verify(other.email, PASSWORD)).device
    forged = device.replace(other.id.hex, account.id.hex)
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await check.verify(account.email, "a guess")

    for token in (device, forged, "amd_"):
        with pytest.raises(Unauthenticated):
            await check.verify(account.email, PASSWORD, token)


async def test_lock_ends_by_itself(store: Store, operator: Caller) -> None:
    accounts = store.app.accounts
    account = await account_of(store.app, operator)
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await accounts.check.verify(account.email, "a guess")
    later = AttemptService(database=replace(store.app.database, ahead=timedelta(seconds=61)))

    signed_in = await replace(accounts.check, attempts=later).verify(account.email, PASSWORD)

    assert signed_in.account_id == account.id


async def test_hash_that_has_become_cheap_is_made_anew(store: Store, operator: Caller) -> None:
    app = store.app
    cheap = Passwords(memory_kib=8, passes=1, most=1, seconds=5.0)
    new = NewAccount(email=f"{uuid4().hex}@example.com", name="Ada")
    account = await app.accounts.service.create(operator, new, await cheap.hash(PASSWORD), verified=True)
    attempts, policy = app.accounts.check.attempts, await app.accounts.check.lockout()

    before = await attempts.begin(accounts_caller(), account.email, None, policy)
    await app.accounts.check.verify(account.email, PASSWORD)
    after = await attempts.begin(accounts_caller(), account.email, None, policy)
    await cheap.aclose()

    assert before.password is not None
    assert after.password is not None
    assert app.accounts.passwords.is_weaker(before.password.hashed)
    assert not app.accounts.passwords.is_weaker(after.password.hashed)


GUESS = """
import asyncio, sys
from uuid import UUID
from agentmem.bootstrap import open_app
from agentmem.foundation.authorization.caller import accounts_caller
from agentmem.schemas.policies import LockoutPolicy
from agentmem.settings import Settings

async def main():
    settings = Settings.load(data_directory=sys.argv[1], organization="shared", linger=0.5)
    async with open_app(settings, background=False) as app:
        print("ready", flush=True)
        sys.stdin.readline()
        begin, caller = app.accounts.check.attempts.begin, accounts_caller()
        tried = await asyncio.gather(*(begin(caller, sys.argv[2], None, LockoutPolicy()) for _ in range(25)))
        print(sum(attempt.admitted for attempt in tried), flush=True)

asyncio.run(main())
"""


async def test_guesses_of_several_processes_are_never_more_than_the_limit(store: Store, operator: Caller) -> None:
    account = await account_of(store.app, operator)
    with ExitStack() as stack:
        children = [stack.enter_context(python_child(GUESS, store.directory, account.email)) for _ in range(3)]
        for child in children:
            assert await asyncio.to_thread(next_line, child) == "ready"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()
        admitted = [int(await asyncio.to_thread(next_line, child)) for child in children]

    assert sum(admitted) == 5


async def test_hard_cap_is_forgotten_by_nothing_but_an_operator_or_a_reset(store: Store, operator: Caller) -> None:
    accounts, policy = store.app.accounts, LockoutPolicy(failures=1, delays=(1,), hard_cap=5)
    account = await account_of(store.app, operator)
    device = (await accounts.check.verify(account.email, PASSWORD)).device
    for days in range(1, 6):
        later = AttemptService(database=replace(store.app.database, ahead=timedelta(days=days)))
        assert (await later.begin(accounts_caller(), account.email, None, policy)).admitted

    async def admitted(token: str | None) -> bool:
        # Another process, whose shared state is empty, and a year later.
        service = AttemptService(database=replace(store.app.database, ahead=timedelta(days=366)))
        return (await service.begin(accounts_caller(), account.email, token, policy)).admitted

    await accounts.keeping.forget_traces(service_caller(platform_id()))
    assert not await admitted(None)
    assert await admitted(device)
    await accounts.service.unlock(operator, AccountId(account.id))
    assert await admitted(None)


async def test_disabled_account_is_refused_and_told_to_every_server(store: Store, operator: Caller) -> None:
    accounts = store.app.accounts
    account = await account_of(store.app, operator)
    async with store.app.state.subscribe(ENDED) as ended:
        disabled = await accounts.keeping.disable(operator, AccountId(account.id))
        assert await asyncio.wait_for(anext(ended), 5) == str(account.id)
    with pytest.raises(Unauthenticated):
        await accounts.check.verify(account.email, PASSWORD)
    again = await accounts.keeping.disable(operator, AccountId(account.id))
    await accounts.service.enable(operator, AccountId(account.id))

    assert again == disabled
    assert disabled.valid_after > account.valid_after
    assert (await accounts.check.verify(account.email, PASSWORD)).account_id == account.id


async def test_own_password_is_changed_by_whoever_knows_it(store: Store, operator: Caller) -> None:
    keeping = store.app.accounts.keeping
    account = await account_of(store.app, operator)
    own = replace(store.app.caller, account_id=AccountId(account.id))
    with pytest.raises(Unauthenticated):
        await keeping.change_password(own, "a guess", ANOTHER)
    with pytest.raises(WeakPassword, match="fewer than 15") as refused:
        await keeping.change_password(own, PASSWORD, "short")
    changed = await keeping.change_password(own, PASSWORD, ANOTHER)

    assert {fault.field for fault in refused.value.faults} >= {"password.too_short"}
    assert changed.valid_after > account.valid_after
    assert (await keeping.check.verify(account.email, ANOTHER)).account_id == account.id
    with pytest.raises(PermissionDenied, match="signed in"):
        await keeping.change_password(store.app.caller, PASSWORD, ANOTHER)


async def test_last_passwords_cannot_come_again_and_none_is_changed_too_soon(store: Store, operator: Caller) -> None:
    memory = await store.organization()
    app, keeping = memory.app, memory.app.accounts.keeping
    account = await account_of(app, operator)
    member = NewMember(name="Ada", role=Role.MEMBER, kind=MemberKind.PERSON)
    await app.accounts.memberships.join(app.caller, member, AccountId(account.id))
    await app.accounts.policies.update(app.caller, PasswordPolicy(history=2, min_age_hours=1, max_age_days=30))
    own = replace(app.caller, account_id=AccountId(account.id))
    with pytest.raises(WeakPassword, match="less than 1 hours ago"):
        await keeping.change_password(own, PASSWORD, ANOTHER)
    later = replace(keeping, clock=lambda: utc_now() + timedelta(hours=2))
    with pytest.raises(WeakPassword, match="used before"):
        await later.change_password(own, PASSWORD, PASSWORD)
    await later.change_password(own, PASSWORD, ANOTHER)
    with pytest.raises(WeakPassword, match="used before"):
        await later.change_password(own, ANOTHER, PASSWORD)
    third = "three magpies over the pond"
    await later.change_password(own, ANOTHER, third)
    await later.change_password(own, third, PASSWORD)

    signed_in = await keeping.check.verify(account.email, PASSWORD)
    for days, due in ((29, False), (30, True)):
        moment = signed_in.password_set_at + timedelta(days=days)
        then = replace(keeping, clock=moment.replace)
        assert (await then.expired(signed_in.account_id) is not None) is due


async def test_deleted_account_leaves_its_members_disabled(store: Store, operator: Caller) -> None:
    memory = await store.organization()
    app = memory.app
    account = await account_of(app, operator)
    await app.members.ensure_owner(app.caller, "first")
    person = NewMember(name="Ada", role=Role.OWNER, kind=MemberKind.PERSON)
    member = await app.accounts.memberships.join(app.caller, person, AccountId(account.id))
    with pytest.raises(Conflict, match="already"):
        await app.accounts.memberships.join(app.caller, person, AccountId(account.id))
    await app.accounts.keeping.delete(operator, AccountId(account.id))
    after = await app.members.get(app.caller, member.id)

    assert after.disabled_at is not None
    assert after.account_id is None
    assert await app.accounts.service.find(operator, account.email) is None
    with pytest.raises(NotFound):
        await app.accounts.service.get(operator, AccountId(account.id))


async def test_last_owner_of_an_organization_is_not_deleted(store: Store, operator: Caller) -> None:
    memory = await store.organization()
    account = await account_of(memory.app, operator)
    person = NewMember(name="Ada", role=Role.OWNER, kind=MemberKind.PERSON)
    await memory.app.accounts.memberships.join(memory.app.caller, person, AccountId(account.id))

    with pytest.raises(Conflict, match="last enabled owner"):
        await memory.app.accounts.keeping.delete(operator, AccountId(account.id))
    assert await memory.app.accounts.service.get(operator, AccountId(account.id)) == account


async def test_address_and_name_of_an_account_are_nowhere_in_clear(
    store: Store, operator: Caller, owner: Owner
) -> None:
    account = await account_of(store.app, operator, name="kingfisher-canary")
    with pytest.raises(Unauthenticated):
        await store.app.accounts.check.verify(account.email, "a guess")
    rows = str(rows_of(owner, platform_id()))

    assert account.email.partition("@")[0] not in rows
    assert "kingfisher-canary" not in rows
    assert "$argon2id$" not in rows
    assert "kingfisher-canary" not in repr(account)


async def test_guesses_of_one_address_and_of_all_are_limited(store: Store, operator: Caller) -> None:
    account = await account_of(store.app, operator)
    throttles = Throttles(state=MemoryState(), guesses=3, all_guesses=4, mails=5)
    check = replace(store.app.accounts.check, throttles=throttles)
    for _ in range(3):
        await check.verify(account.email, PASSWORD, address=HOME)
    with pytest.raises(RateLimited, match="sign_ins"):
        await check.verify(account.email, PASSWORD, address=HOME)
    await check.verify(account.email, PASSWORD, address=ip_address("192.0.2.2"))
    with pytest.raises(RateLimited, match="all_sign_ins"):
        await check.verify(account.email, PASSWORD, address=ip_address("192.0.2.3"))


async def test_policy_is_the_default_until_it_is_set_and_changed_by_version(store: Store) -> None:
    memory = await store.organization()
    policies, caller = memory.app.accounts.policies, memory.app.caller
    before = await policies.view(caller, PolicyKind.SESSIONS)
    changed = await policies.update(caller, SessionPolicy(max_sessions=3), 1)
    with pytest.raises(VersionConflict):
        await policies.update(caller, SessionPolicy(max_sessions=4), 1)
    with pytest.raises(Conflict, match="platform"):
        await policies.update(caller, LockoutPolicy(), None)

    assert (before.policy, before.version, before.updated_at) == (SessionPolicy(), 1, None)
    assert (changed.policy, changed.version) == (SessionPolicy(max_sessions=3), 2)
    assert await policies.view(caller, PolicyKind.SESSIONS) == changed
    assert await policies.of([caller.organization_id], PolicyKind.SESSIONS) == [SessionPolicy(max_sessions=3)]


async def test_what_became_of_each_password_is_counted(store: Store, operator: Caller) -> None:
    told: list[str] = []
    check = replace(store.app.accounts.check, tried=told.append)
    account = await account_of(store.app, operator)
    await check.verify(account.email, PASSWORD)
    for email, password in ((account.email, "a guess"), (address(), PASSWORD)):
        with pytest.raises(Unauthenticated):
            await check.verify(email, password)
    await store.app.accounts.keeping.disable(operator, AccountId(account.id))
    with pytest.raises(Unauthenticated):
        await check.verify(account.email, PASSWORD)

    assert told == ["accepted", "wrong", "unknown", "refused"]
