"""Passkeys of accounts, made and used by an authenticator in software."""

from __future__ import annotations

import pytest

from agentmem import AsyncMemory
from agentmem.errors import Conflict, NotFound, Unauthenticated
from agentmem.schemas.access import Role
from agentmem.schemas.factors import FactorChoice, FactorKind, FactorProof, NewPasskey
from tests.support.authenticator import Authenticator
from tests.support.second_factors import HOME, ORIGIN, Person, person_of
from tests.support.stores import Owner

PASSKEY = FactorKind.PASSKEY


@pytest.fixture
async def ada(memory: AsyncMemory) -> Person:
    """Somebody who has an account and nothing else."""
    return await person_of(memory.app)


async def test_a_passkey_signs_in_by_itself(ada: Person) -> None:
    key = await ada.passkey(count=3)

    asked = await ada.secondary.passkeys.ask_anybody()

    assert "allowCredentials" not in asked.public_key or asked.public_key["allowCredentials"] == []
    assert await ada.secondary.passkeys.recognize(key.get(asked.public_key)) == ada.account_id
    (shown,) = (await ada.secondary.factors.get(ada.caller)).passkeys
    assert shown.last_used_at is not None


async def test_a_challenge_is_good_for_one_answer_of_its_purpose(ada: Person) -> None:
    key = await ada.passkey()
    answer = key.get((await ada.secondary.passkeys.ask_anybody()).public_key)
    await ada.secondary.passkeys.recognize(answer)

    with pytest.raises(Unauthenticated):
        await ada.secondary.passkeys.recognize(answer)
    with pytest.raises(Unauthenticated):
        await ada.secondary.passkeys.recognize(key.get((await ada.secondary.passkeys.ask(ada.caller)).public_key))
    with pytest.raises(Unauthenticated):
        await ada.secondary.passkeys.verify(
            ada.caller, key.get((await ada.secondary.passkeys.ask_anybody()).public_key)
        )


async def test_a_passkey_is_of_one_account(memory: AsyncMemory, ada: Person) -> None:
    eve = await person_of(memory.app)
    key = await ada.passkey()

    asked = await eve.secondary.passkeys.ask_for_new(eve.caller)
    with pytest.raises(Conflict, match="known already"):
        await eve.secondary.passkeys.add(eve.caller, NewPasskey(name="mine", credential=key.create(asked.public_key)))
    with pytest.raises(Unauthenticated):
        await eve.secondary.passkeys.recognize(key.get((await eve.secondary.passkeys.ask_anybody()).public_key))


async def test_a_count_that_goes_back_is_refused_and_told_in_the_audit_trail(ada: Person, owner: Owner) -> None:
    key = await ada.passkey(count=10)
    await ada.secondary.passkeys.recognize(key.get((await ada.secondary.passkeys.ask_anybody()).public_key))
    key.count = 5

    with pytest.raises(Unauthenticated):
        await ada.secondary.passkeys.recognize(key.get((await ada.secondary.passkeys.ask_anybody()).public_key))

    told = owner.execute(
        "SELECT outcome FROM agentmem.audit_entries WHERE action = 'passkey.used' AND actor = %s ORDER BY entry_id",
        [f"account:{ada.account_id}"],
    ).fetchall()
    assert told == [("done",), ("failed",)]


async def test_a_removed_passkey_signs_nobody_in(ada: Person) -> None:
    key = await ada.passkey()
    (shown,) = (await ada.secondary.factors.get(ada.caller)).passkeys
    await ada.secondary.passkeys.service.remove(ada.caller, shown.id)

    with pytest.raises(Unauthenticated):
        await ada.secondary.passkeys.recognize(key.get((await ada.secondary.passkeys.ask_anybody()).public_key))
    with pytest.raises(NotFound):
        await ada.secondary.passkeys.service.remove(ada.caller, shown.id)


async def test_a_passkey_whose_row_was_moved_to_another_account_opens_nothing(
    memory: AsyncMemory, ada: Person, owner: Owner
) -> None:
    eve = await person_of(memory.app)
    key = await eve.passkey()
    owner.execute(
        "UPDATE agentmem.passkeys SET account_id = %s WHERE account_id = %s", [ada.account_id, eve.account_id]
    )
    key.handle = ada.account_id.bytes

    with pytest.raises(Unauthenticated):
        await ada.secondary.passkeys.recognize(key.get((await ada.secondary.passkeys.ask_anybody()).public_key))


async def test_a_passkey_can_be_the_factor_that_is_added(ada: Person) -> None:
    challenge, key = await ada.challenged(Role.OWNER), Authenticator(origin=ORIGIN)

    begun = await ada.secondary.begin(FactorChoice(challenge=challenge, kind=PASSKEY))
    assert begun.public_key is not None
    proof = FactorProof(challenge=challenge, kind=PASSKEY, credential=key.create(begun.public_key))

    assert (await ada.secondary.answer(proof, HOME)).amr == ("pwd", "hwk", "mfa")
