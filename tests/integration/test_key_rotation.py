"""Keys are rotated under load: nothing is unreadable at any moment, and what the old key sealed is sealed anew."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from agentmem import AsyncMemory
from agentmem.errors import Conflict, NotFound, PermissionDenied
from agentmem.features.identity.factors.passkey_service import PasskeyService
from agentmem.features.identity.factors.service import FactorService
from agentmem.features.identity.request_keys.service import RequestKeyService
from agentmem.features.identity.sessions.service import SessionService
from agentmem.features.identity.signing.service import SigningKeyService
from agentmem.foundation.authorization.caller import Permission, service_caller
from agentmem.foundation.database.known_keys import KnownKeys
from agentmem.foundation.database.resealing import sealed_columns, sealed_tables
from agentmem.kit.ids import JobId
from agentmem.schemas.encryption import KeyInventory
from agentmem.schemas.factors import FactorKind
from agentmem.schemas.jobs import JobState
from agentmem.schemas.keys import NewApiKey
from agentmem.schemas.request_keys import NewRequestKey, SignatureAlgorithm
from tests.support.foreign import foreign_of
from tests.support.jobs import until, working
from tests.support.patience import eventually
from tests.support.stores import Owner, Store
from tests.support.walls import app_over


def sealed_by(owner: Owner, memory: AsyncMemory, key_id: UUID) -> dict[str, int]:
    """Count the values that name a key in their header, in every column of bytes that there is."""
    columns = owner.execute(
        "SELECT table_schema, table_name, column_name FROM information_schema.columns "
        "WHERE data_type = 'bytea' AND table_schema IN ('agentmem', 'agentmem_keys')"
    ).fetchall()
    found = {}
    for schema, table, column in columns:
        named = (
            f'SELECT count(*) FROM {schema}.{table} WHERE organization_id = %s AND substring("{column}", 3, 16) = %s'
        )
        counted = owner.execute(named.encode(), [memory.app.caller.organization_id, key_id.bytes]).fetchone()
        if counted is not None and counted[0]:
            found[f"{table}.{column}"] = int(str(counted[0]))
    return found


async def active_key(memory: AsyncMemory) -> UUID:
    memory.app.database.forget_keys([memory.app.caller.organization_id])
    return (await memory.app.database.keys(memory.app.caller.organization_id)).keyring.active.key_id


async def rotate(memory: AsyncMemory, owner: Owner) -> None:
    """Rotate the data key, and have a worker do the job that it asks for."""
    job_id = await memory.app.custody.rotation.rotate_data_key(memory.app.caller)
    await reseal(memory, owner, job_id)


async def reseal(memory: AsyncMemory, owner: Owner, job_id: JobId) -> None:
    worker = replace(memory.app.worker, queues=[str(memory.app.caller.organization_id)], schedules=(), grace=0.0)
    async with working(worker):
        await until(owner, job_id, JobState.SUCCEEDED)


async def test_a_rotated_data_key_seals_nothing_and_is_gone_once_all_is_sealed_anew(
    memory: AsyncMemory, owner: Owner
) -> None:
    await foreign_of(memory, user_id="u", content="all about herons", key="once")
    office = (await memory.add("the office is closed on Mondays")).memories[0]
    old = await active_key(memory)
    before = sealed_by(owner, memory, old)

    job_id = await memory.app.custody.rotation.rotate_data_key(memory.app.caller)
    assert await active_key(memory) != old
    await memory.add("written under the new key")
    assert sealed_by(owner, memory, old) == before
    assert (await memory.get(office.id)).content == "the office is closed on Mondays"
    await reseal(memory, owner, job_id)

    assert {"memories.content", "index_entries.entry", "webhooks.sealed", "subject_keys.wrapped"} <= before.keys()
    assert sealed_by(owner, memory, old) == {}
    inventory = await memory.app.custody.rotation.inventory(memory.app.caller)
    assert old not in {key.key_id for key in inventory.keys}
    assert (await memory.get(office.id)).content == "the office is closed on Mondays"
    assert [hit.memory.content for hit in (await memory.search("herons", user_id="u")).hits] == ["all about herons"]
    assert (await memory.doctor()).findings == []


async def test_another_process_goes_on_through_a_rotation(store: Store, memory: AsyncMemory, owner: Owner) -> None:
    async with app_over(store.app, replace(store.app.database, _keys=KnownKeys())) as other:
        twin = AsyncMemory(organization=memory._settings.organization)
        twin._opened = replace(other, caller=memory.app.caller, settings=memory._settings)
        first = (await twin.add("sealed before")).memories[0]
        job_id = await memory.app.custody.rotation.rotate_data_key(memory.app.caller)
        second = (await memory.add("sealed after")).memories[0]
        assert (await twin.get(second.id)).content == "sealed after"
        third = (await twin.add("sealed by who had the old key")).memories[0]
        await reseal(memory, owner, job_id)
        assert {(await twin.get(one.id)).content for one in (first, second, third)} == {
            "sealed before",
            "sealed after",
            "sealed by who had the old key",
        }


async def test_what_people_and_clients_prove_themselves_by_opens_in_a_process_that_knew_the_old_key(
    store: Store, memory: AsyncMemory, owner: Owner
) -> None:
    caller = memory.app.caller
    foreign = await foreign_of(memory, user_id="u", content="all about herons", key="once")
    await memory.app.single.federation.set_secret(caller, "the provider's")
    signer = await memory.app.issuing.add_signer(
        caller, foreign.key_id, NewRequestKey(name="signs", algorithm=SignatureAlgorithm.HMAC_SHA256)
    )
    person = replace(caller, account_id=foreign.account_id)
    async with app_over(store.app, replace(store.app.database, _keys=KnownKeys())) as other:
        database = other.database
        stale = await database.keys(caller.organization_id)
        old = stale.keyring.active.key_id
        before = sealed_by(owner, memory, old)
        await rotate(memory, owner)
        assert sealed_by(owner, memory, old) == {}
        signers = await RequestKeyService(database=database).of_key(caller.organization_id, foreign.key_id)
        keys = await database.keys_of(caller.organization_id, (one.sealed for one in signers))
        opened = {one.request_key_id: one.opened(keys.keyring) for one in signers}
        assert opened[signer.request_key.id].algorithm is SignatureAlgorithm.HMAC_SHA256

        reads: tuple[Callable[[], Awaitable[object]], ...] = (
            lambda: other.accounts.service.get(caller, foreign.account_id),
            lambda: SessionService(database=database).own(person),
            lambda: PasskeyService(database=database).all(person),
            lambda: FactorService(database=database).issue_code(person, FactorKind.SMS),
            lambda: SigningKeyService(database=database).signing(caller),
            lambda: other.accounts.invitations.page(caller),
            lambda: other.single.federation.secret(caller),
        )
        for read in reads:
            database._keys.put(stale)
            assert await read()

    people = {"accounts.sealed", "passkeys.sealed", "factor_codes.sealed", "totp_factors.sealed", "signing_keys.sealed"}
    people |= {"invitations.sealed", "account_mails.sealed", "account_sessions.device", "request_keys.sealed"}
    assert people | {"sso_secrets.sealed", "api_keys.sealed_mac"} <= before.keys()


async def test_a_key_from_before_its_mac_was_sealed_is_good_before_and_after_the_rotation_that_seals_it(
    memory: AsyncMemory, owner: Owner
) -> None:
    app, caller = memory.app, memory.app.caller
    issued = await app.issuing.create(caller, NewApiKey(name="old", scopes=[Permission.MEMORY_READ]))
    keys = await app.database.keys(caller.organization_id)
    owner.execute(
        "UPDATE agentmem.api_keys SET sealed_mac = NULL, mac_version = 1, secret_mac = %s WHERE key_id = %s",
        [keys.index.credential_mac(str(issued.key)), issued.api_key.id],
    )
    assert await app.admission.recognize(str(issued.key)) is not None
    await rotate(memory, owner)
    stored = "SELECT secret_mac, sealed_mac IS NULL FROM agentmem.api_keys WHERE key_id = %s"
    assert owner.execute(stored, [issued.api_key.id]).fetchone() == (b"", False)
    assert await app.admission.recognize(str(issued.key)) is not None
    assert await app.admission.recognize(str(issued.key)[:-7] + "0000000") is None


async def test_rotation_of_every_key_under_load_of_64_at_once_disturbs_nobody(
    store: Store, memory: AsyncMemory, owner: Owner, full: bool
) -> None:
    rounds, ended, app = (40 if full else 4), asyncio.Event(), memory.app
    api_key = str((await app.issuing.create(app.caller, NewApiKey(name="k", scopes=[Permission.MEMORY_READ]))).key)
    signing = SigningKeyService(database=app.database)
    await signing.ensure(app.caller)
    kept = [(await memory.add(f"fact {number}")).memories[0] for number in range(8)]

    async def work(number: int) -> int:
        done = 0
        while not ended.is_set() or not done:
            if number % 16 == 3:
                assert await app.admission.recognize(api_key) is not None
            elif number % 16 == 7:
                assert await signing.signing(app.caller) is not None
            elif number % 4 == 0:
                await memory.add(f"news {number} {done}", user_id=f"user {number}" if number % 8 else None)
            elif number % 4 == 1:
                await memory.search("which facts are there?", limit=5)
            else:
                one = kept[(number + done) % len(kept)]
                assert (await memory.get(one.id)).content == one.content
            done += 1
        return done

    async def rotate_all() -> None:
        try:
            for _ in range(rounds):
                await rotate(memory, owner)
                await memory.app.custody.rotation.rotate_master_key(memory.app.caller)
                await memory.app.custody.rotation.rewrap(memory.app.caller)
                await signing.rotate(app.caller, at_once=True)
        finally:
            ended.set()

    old = await active_key(memory)
    done = await asyncio.gather(rotate_all(), *(work(number) for number in range(64)))
    assert all(count for count in done[1:])
    assert sealed_by(owner, memory, old) == {}
    assert (await memory.doctor()).findings == []


async def test_of_two_rotations_at_once_one_is_refused(memory: AsyncMemory) -> None:
    rotate = memory.app.custody.rotation.rotate_data_key
    done = await asyncio.gather(*(rotate(memory.app.caller) for _ in range(4)), return_exceptions=True)
    assert any(isinstance(one, UUID) for one in done)
    assert {type(one) for one in done} <= {UUID, Conflict}, done
    await memory.add("written after it")


async def test_a_new_master_key_wraps_every_key_anew_and_changes_no_value(memory: AsyncMemory, owner: Owner) -> None:
    added = (await memory.add("keeps bees", user_id="alice")).memories[0]
    before: KeyInventory = await memory.app.custody.rotation.inventory(memory.app.caller)
    rotated = await memory.app.custody.rotation.rotate_master_key(memory.app.caller)
    assert await memory.app.custody.rotation.rewrap(service_caller(memory.app.caller.organization_id)) == 2
    assert await memory.app.custody.rotation.rewrap(memory.app.caller) == 0
    after = await memory.app.custody.rotation.inventory(memory.app.caller)
    assert {key.master_key_id for key in after.keys} == {rotated.master_key_id} == {after.active_master_key_id}
    assert [key.key_id for key in after.keys] == [key.key_id for key in before.keys]
    memory.app.database.forget_keys([memory.app.caller.organization_id])
    assert (await memory.get(added.id)).content == "keeps bees"


async def test_the_inventory_counts_what_each_key_protects(memory: AsyncMemory) -> None:
    await memory.add("keeps bees", user_id="alice")
    await memory.add("the office is closed on Mondays")
    inventory = await memory.app.custody.rotation.inventory(memory.app.caller)
    data, index = sorted(inventory.keys, key=lambda key: key.purpose)
    assert (data.purpose, data.values, data.subject_keys) == ("data", {"memories": 1, "index_entries": 1}, 1)
    assert (index.purpose, index.values) == ("index", {})
    assert (inventory.subject_keys, inventory.subject_values) == (1, {"memories": 1, "index_entries": 1})


async def test_an_old_data_key_is_rotated_by_itself(memory: AsyncMemory) -> None:
    old = await active_key(memory)
    caller = service_caller(memory.app.caller.organization_id)
    rotation = replace(memory.app.custody.rotation, data_key_age=timedelta(days=30))
    await rotation.look_after(caller)
    assert await active_key(memory) == old
    await replace(rotation, database=replace(rotation.database, ahead=timedelta(days=31))).look_after(caller)
    assert await active_key(memory) != old


def test_every_sealed_column_says_how_it_is_sealed() -> None:
    declared = {f"{name}.{column.name}" for name, table in sealed_tables().items() for column in sealed_columns(table)}
    assert {"memories.content", "memories.actor", "index_entries.entry", "webhooks.sealed"} <= declared


@pytest.mark.parametrize("name", ["memories", "index_entries"])
def test_what_is_about_a_person_is_sealed_by_their_key(name: str) -> None:
    assert {bound.user_id for bound in sealed_columns(sealed_tables()[name]).values()} == {"user_id"}


async def test_a_master_key_is_destroyed_only_once_it_wraps_nothing(tmp_path: Path) -> None:
    async with AsyncMemory(data_directory=tmp_path / "store", linger=0) as memory:
        added = (await memory.add("keeps bees", user_id="alice")).memories[0]
        custody, caller = memory.app.custody, memory.app.caller
        (old,) = await custody.master_keys.every(caller)
        with pytest.raises(Conflict, match="is the active one"):
            await custody.master_keys.destroy(caller, old.id)
        with pytest.raises(NotFound):
            await custody.master_keys.destroy(caller, "none")
        rotated = await custody.rotation.rotate_master_key(caller)
        with pytest.raises(Conflict, match="still wraps 2 keys"):
            await custody.master_keys.destroy(caller, old.id)
        await custody.rotation.rewrap(caller)
        assert {(key.id, key.active, key.wraps) for key in await custody.master_keys.every(caller)} == {
            (old.id, False, 0),
            (rotated.master_key_id, True, 2),
        }
        await custody.master_keys.destroy(caller, old.id)
        assert [key.id for key in await custody.master_keys.every(caller)] == [rotated.master_key_id]
        memory.app.database.forget_keys([caller.organization_id])
        assert (await memory.get(added.id)).content == "keeps bees"
        with pytest.raises(PermissionDenied):
            await custody.master_keys.destroy(service_caller(caller.organization_id), old.id)


async def test_a_worker_rotates_the_master_key_when_its_time_has_come(tmp_path: Path) -> None:
    async with AsyncMemory(data_directory=tmp_path / "store", linger=0, master_key_days=90) as memory:
        master_keys = memory.app.custody.master_keys
        (old,) = await master_keys.every(memory.app.caller)
        assert [schedule.seconds for schedule in master_keys.schedules()] == [90 * 86_400]

        async def rotated() -> bool:
            return [key.id for key in await master_keys.every(memory.app.caller) if key.active] != [old.id]

        async with working(replace(memory.app.worker, schedules=master_keys.schedules(), grace=0.0)):
            await eventually(rotated)
        assert replace(master_keys, every_so_long=None).schedules() == ()
