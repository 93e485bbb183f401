"""Accounts, and what it takes to guess their passwords."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from agentmem.errors import Conflict, InvalidInput, Unauthenticated
from agentmem.features.identity.accounts.attempts import AttemptService
from agentmem.foundation.authorization.caller import Caller, accounts_caller
from agentmem.foundation.passwords.hashing import Passwords
from agentmem.schemas.accounts import NewAccount
from tests.support.people import PASSWORD, account_of
from tests.support.stores import Store
from tests.support.tenants import operator_of


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
