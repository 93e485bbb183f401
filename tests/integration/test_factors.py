"""Second factors of accounts: each is taken once, and nothing is signed in to without what is owed."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from contextlib import nullcontext

import pytest

from agentmem import AsyncMemory
from agentmem.errors import Conflict, InvalidInput, NotFound, RateLimited, Unauthenticated
from agentmem.features.identity.factors.model import MOST_FAILURES
from agentmem.features.identity.factors.totp import code_at
from agentmem.foundation.authorization.caller import accounts_caller
from agentmem.foundation.state.memory import MemoryState
from agentmem.schemas.access import Role
from agentmem.schemas.factors import ChallengeStatus, FactorChoice, FactorKind, FactorProof, NewPasskey
from agentmem.schemas.policies import FactorPolicy
from tests.support.authenticator import Authenticator
from tests.support.second_factors import HOME, ORIGIN, Outbox, Person, later, person_of, second_factors
from tests.support.stores import Owner, Store

TOTP, PASSKEY, SPARE, EMAIL, SMS = (
    FactorKind.TOTP,
    FactorKind.PASSKEY,
    FactorKind.RECOVERY_CODE,
    FactorKind.EMAIL,
    FactorKind.SMS,
)


@pytest.fixture
async def ada(memory: AsyncMemory) -> Person:
    """Somebody who has an account and nothing else."""
    return await person_of(memory.app)


async def spoil(person: Person, times: int, first: int = 0) -> None:
    """Guess wrongly, from a server whose limits are new each time."""
    for number in range(first, first + times):
        fresh = later(person)
        challenge = await fresh.challenged()
        with pytest.raises(Unauthenticated):
            await fresh.shows(challenge, f"x{number:05d}")


async def test_an_app_works_from_its_confirmation_on(ada: Person) -> None:
    enrolled = await ada.secondary.factors.enrol_totp(ada.caller)
    assert await ada.signs_in() is None
    with pytest.raises(InvalidInput, match="code of now"):
        await ada.secondary.factors.confirm_totp(ada.caller, code_at(enrolled.secret, ada.step + 7))

    factors = await ada.secondary.factors.confirm_totp(ada.caller, code_at(enrolled.secret, ada.step))

    assert factors.totp
    required = await ada.signs_in()
    assert required is not None
    assert (required.status, required.factors) == (ChallengeStatus.FACTOR, [TOTP])
    with pytest.raises(Conflict):
        await ada.secondary.factors.enrol_totp(ada.caller)
    with pytest.raises(NotFound):
        await ada.secondary.factors.confirm_totp(ada.caller, code_at(enrolled.secret, ada.step))
    for hidden in (enrolled.secret, enrolled.uri, enrolled.qr_svg, required.challenge):
        assert hidden not in repr((enrolled, required))


async def test_a_code_signs_in_once(ada: Person) -> None:
    secret = await ada.app()
    challenge, another = await ada.challenged(), await ada.challenged()

    proved = await ada.shows(challenge, code_at(secret, ada.step))

    assert (proved.account_id, proved.acting_in, proved.amr) == (ada.account_id, ada.acting_in, ("pwd", "otp", "mfa"))
    with pytest.raises(Unauthenticated):
        await ada.shows(challenge, code_at(secret, ada.step + 1))
    with pytest.raises(Unauthenticated):
        await ada.shows(another, code_at(secret, ada.step))
    assert await ada.signs_in(Role.OWNER, *proved.amr) is None


async def test_a_code_of_a_step_before_the_accepted_one_is_not_taken(ada: Person) -> None:
    secret = await ada.app()
    step = ada.step
    await ada.shows(await ada.challenged(), code_at(secret, step + 1))

    with pytest.raises(Unauthenticated):
        await ada.shows(await ada.challenged(), code_at(secret, step))


async def test_the_code_that_confirmed_the_app_signs_nobody_in(ada: Person) -> None:
    secret = await ada.app()

    with pytest.raises(Unauthenticated):
        await ada.shows(await ada.challenged(), code_at(secret, ada.step - 1))


async def test_a_sign_in_that_waits_for_a_factor_ends(ada: Person) -> None:
    secret = await ada.app()
    challenge = await ada.challenged()

    after = later(ada, seconds=601)

    with pytest.raises(Unauthenticated, match="over"):
        await after.shows(challenge, code_at(secret, after.step))


async def test_codes_are_limited_by_account_and_address_whoever_signs_in(memory: AsyncMemory) -> None:
    state = MemoryState()
    ada, eve = await person_of(memory.app, state=state), await person_of(memory.app, state=state)
    secret, other = await ada.app(), await eve.app()
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await ada.shows(await ada.challenged(), "000000")

    with pytest.raises(RateLimited):
        await ada.shows(await ada.challenged(), code_at(secret, ada.step))
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await eve.shows(await eve.challenged(), "000000")
    with pytest.raises(RateLimited):
        await (await person_of(memory.app, state=state)).shows(await eve.challenged(), code_at(other, eve.step))


async def test_guesses_at_once_are_all_counted_before_they_are_made(memory: AsyncMemory, owner: Owner) -> None:
    ada = await person_of(memory.app)
    await ada.app()
    servers = [second_factors(memory.app) for _ in range(5)]
    challenges = [await ada.challenged() for _ in range(25)]
    proofs = [FactorProof(challenge=challenge, kind=TOTP, code="000000") for challenge in challenges]

    told = await asyncio.gather(
        *(servers[number % 5].answer(proof, HOME) for number, proof in enumerate(proofs)), return_exceptions=True
    )

    assert all(isinstance(error, Unauthenticated) for error in told)
    counted = owner.execute("SELECT failures FROM agentmem.factor_failures WHERE account_id = %s", [ada.account_id])
    assert counted.fetchone() == (25,)


async def test_after_a_hundred_wrong_codes_in_a_row_no_code_is_taken_but_a_passkey_is(
    ada: Person, owner: Owner
) -> None:
    secret = await ada.app()
    codes = (await ada.secondary.factors.make_recovery_codes(ada.caller)).codes
    key = await ada.passkey()
    await spoil(ada, 1)
    owner.execute(
        "UPDATE agentmem.factor_failures SET failures = %s WHERE account_id = %s", [MOST_FAILURES - 1, ada.account_id]
    )
    await spoil(ada, 1)

    with pytest.raises(Unauthenticated):
        await ada.shows(await ada.challenged(), code_at(secret, ada.step))
    with pytest.raises(Unauthenticated):
        await ada.shows(await ada.challenged(), codes[0], SPARE)
    challenge = await ada.challenged()
    begun = await ada.secondary.begin(FactorChoice(challenge=challenge, kind=PASSKEY))
    assert begun.public_key is not None
    proved = await ada.secondary.answer(
        FactorProof(challenge=challenge, kind=PASSKEY, credential=key.get(begun.public_key)), HOME
    )
    assert proved.amr == ("pwd", "hwk", "mfa")
    assert (await ada.shows(await ada.challenged(), code_at(secret, ada.step))).is_proved


async def test_an_account_that_owes_a_factor_may_only_add_one(ada: Person) -> None:
    required = await ada.signs_in(Role.OWNER)
    assert required is not None
    assert (required.status, required.factors) == (ChallengeStatus.ENROLMENT, [TOTP, PASSKEY])
    for kind in (SPARE, EMAIL):
        with pytest.raises(InvalidInput, match="none of the factors"):
            await ada.shows(required.challenge, "000000", kind)

    begun = await ada.secondary.begin(FactorChoice(challenge=required.challenge, kind=TOTP))
    assert begun.totp is not None
    proved = await ada.shows(required.challenge, code_at(begun.totp.secret, ada.step))

    assert proved.amr == ("pwd", "otp", "mfa")
    assert await ada.signs_in(Role.OWNER, *proved.amr) is None
    assert (await ada.secondary.factors.get(ada.caller)).totp


async def test_a_passkey_can_be_the_factor_that_is_added(ada: Person) -> None:
    challenge, key = await ada.challenged(Role.OWNER), Authenticator(origin=ORIGIN)

    begun = await ada.secondary.begin(FactorChoice(challenge=challenge, kind=PASSKEY))
    assert begun.public_key is not None
    proof = FactorProof(challenge=challenge, kind=PASSKEY, credential=key.create(begun.public_key))

    assert (await ada.secondary.answer(proof, HOME)).amr == ("pwd", "hwk", "mfa")


async def test_a_sign_in_from_before_the_factor_was_added_does_not_get_around_it(ada: Person) -> None:
    challenge = await ada.challenged(Role.OWNER)
    secret = await ada.app()

    with pytest.raises(InvalidInput):
        await ada.secondary.begin(FactorChoice(challenge=challenge, kind=PASSKEY))
    assert (await ada.secondary.begin(FactorChoice(challenge=challenge, kind=TOTP))).totp is None
    with pytest.raises(Unauthenticated):
        await ada.shows(challenge, "000000")
    assert (await ada.shows(challenge, code_at(secret, ada.step))).is_proved


async def test_a_factor_that_a_new_policy_forbids_is_proved_before_another_is_added(
    memory: AsyncMemory, ada: Person
) -> None:
    secret = await ada.app()
    policy = FactorPolicy(required_for=(Role.MEMBER,), allowed=(PASSKEY,))
    await memory.app.accounts.policies.update(memory.app.caller, policy)
    challenge = await ada.challenged()
    with pytest.raises(InvalidInput):
        await ada.secondary.begin(FactorChoice(challenge=challenge, kind=PASSKEY))

    proved = await ada.shows(challenge, code_at(secret, ada.step))

    required = await ada.signs_in(Role.MEMBER, *proved.amr)
    assert required is not None
    assert (required.status, required.factors) == (ChallengeStatus.ENROLMENT, [PASSKEY])


async def test_a_recovery_code_is_used_once_also_by_many_at_once(memory: AsyncMemory, ada: Person) -> None:
    await ada.app()
    codes = (await ada.secondary.factors.make_recovery_codes(ada.caller)).codes
    servers = [second_factors(memory.app) for _ in range(5)]
    proofs = [FactorProof(challenge=await ada.challenged(), kind=SPARE, code=codes[0].lower()) for _ in range(20)]

    told = await asyncio.gather(
        *(servers[number % 5].answer(proof, HOME) for number, proof in enumerate(proofs)), return_exceptions=True
    )

    assert sum(not isinstance(answer, Unauthenticated) for answer in told) == 1
    assert (await ada.secondary.factors.get(ada.caller)).recovery_codes_left == 9


async def test_new_recovery_codes_end_the_old_ones(ada: Person) -> None:
    await ada.app()
    old = (await ada.secondary.factors.make_recovery_codes(ada.caller)).codes

    new = (await ada.secondary.factors.make_recovery_codes(ada.caller)).codes

    assert len({*old, *new}) == 20
    with pytest.raises(Unauthenticated):
        await ada.shows(await ada.challenged(), old[0], SPARE)
    assert (await ada.shows(await ada.challenged(), new[0], SPARE)).amr == ("pwd", "otp", "mfa")


async def test_the_same_code_on_several_servers_at_once_signs_in_once(memory: AsyncMemory, ada: Person) -> None:
    secret = await ada.app()
    servers = [second_factors(memory.app) for _ in range(5)]
    code = code_at(secret, ada.step + 1)
    proofs = [FactorProof(challenge=await ada.challenged(), kind=TOTP, code=code) for _ in range(20)]

    told = await asyncio.gather(
        *(servers[number % 5].answer(proof, HOME) for number, proof in enumerate(proofs)), return_exceptions=True
    )

    assert sum(not isinstance(answer, Unauthenticated) for answer in told) == 1


async def test_two_factors_shown_to_one_sign_in_at_once_make_one_session(ada: Person) -> None:
    secret = await ada.app()
    code = (await ada.secondary.factors.make_recovery_codes(ada.caller)).codes[0]
    challenge = await ada.challenged()

    told = await asyncio.gather(
        ada.shows(challenge, code_at(secret, ada.step)), ada.shows(challenge, code, SPARE), return_exceptions=True
    )

    assert sum(isinstance(answer, Unauthenticated) for answer in told) == 1


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


@pytest.mark.parametrize("kind, receiver", [(EMAIL, None), (SMS, "+4915112345678")])
async def test_of_codes_that_are_sent_the_newest_is_good_once(
    memory: AsyncMemory, kind: FactorKind, receiver: str | None
) -> None:
    outbox = Outbox()
    ada = await person_of(memory.app, senders={kind: outbox})
    codes = ada.secondary.codes
    await codes.enrol(ada.caller, kind, receiver)
    assert await ada.secondary.factors.kinds(ada.caller) == frozenset()
    await codes.take(ada.caller, kind, outbox.sent[0][1], HOME)
    policy = FactorPolicy(required_for=(), allowed=(TOTP, kind))
    await memory.app.accounts.policies.update(memory.app.caller, policy)
    assert await ada.secondary.factors.kinds(ada.caller) == {kind}

    challenge = await ada.challenged()
    for _ in range(2):
        assert (await ada.secondary.begin(FactorChoice(challenge=challenge, kind=kind))).sent
    (_, _), (_, older), (address, newest) = outbox.sent

    assert address == (receiver or ada.email)
    with pytest.raises(Unauthenticated):
        await later(ada).shows(await ada.challenged(), older, kind)
    assert (await ada.shows(challenge, newest, kind)).is_proved
    with pytest.raises(Unauthenticated):
        await later(ada).shows(await ada.challenged(), newest, kind)


@pytest.mark.parametrize("seconds, taken", [(590, True), (601, False)])
async def test_a_code_that_is_sent_ends_after_ten_minutes(memory: AsyncMemory, seconds: float, *, taken: bool) -> None:
    outbox = Outbox()
    ada = await person_of(memory.app, senders={EMAIL: outbox})
    await ada.secondary.codes.enrol(ada.caller, EMAIL, None)
    after = later(ada, seconds=seconds).secondary.codes

    with nullcontext() if taken else pytest.raises(Unauthenticated):
        await after.take(ada.caller, EMAIL, outbox.sent[0][1], HOME)


async def test_a_code_that_is_sent_may_be_tried_five_times(memory: AsyncMemory) -> None:
    outbox = Outbox()
    ada = await person_of(memory.app, senders={EMAIL: outbox})
    await ada.secondary.codes.enrol(ada.caller, EMAIL, None)
    code = outbox.sent[0][1]
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await later(ada).secondary.codes.take(ada.caller, EMAIL, "wrong!", HOME)

    with pytest.raises(Unauthenticated):
        await later(ada).secondary.codes.take(ada.caller, EMAIL, code, HOME)


async def test_codes_are_sent_three_times_in_ten_minutes_and_not_at_all_unless_set_up(
    memory: AsyncMemory, ada: Person
) -> None:
    with pytest.raises(Conflict, match="sends no codes"):
        await ada.secondary.codes.enrol(ada.caller, EMAIL, None)
    outbox = Outbox()
    eve = await person_of(memory.app, senders={EMAIL: outbox})
    await eve.secondary.codes.enrol(eve.caller, EMAIL, None)
    for _ in range(2):
        await eve.secondary.codes.send(eve.caller, EMAIL)

    with pytest.raises(RateLimited):
        await eve.secondary.codes.send(eve.caller, EMAIL)
    assert len(outbox.sent) == 3


async def test_a_reset_of_one_factor_leaves_the_others(ada: Person) -> None:
    await ada.app()
    await ada.passkey()

    await ada.secondary.factors.reset(accounts_caller(), ada.account_id, TOTP)

    required = await ada.signs_in()
    assert required is not None
    assert (required.status, required.factors) == (ChallengeStatus.FACTOR, [PASSKEY])
    await ada.secondary.factors.reset(accounts_caller(), ada.account_id)
    required = await ada.signs_in(Role.OWNER)
    assert required is not None
    assert required.status is ChallengeStatus.ENROLMENT


async def test_what_is_removed_is_asked_for_no_more(ada: Person) -> None:
    await ada.app()

    assert not (await ada.secondary.factors.remove(ada.caller, TOTP)).totp

    assert await ada.signs_in() is None
    with pytest.raises(NotFound):
        await ada.secondary.factors.remove(ada.caller, TOTP)


async def test_an_account_that_was_disabled_meanwhile_does_not_go_on(ada: Person, owner: Owner) -> None:
    secret = await ada.app()
    challenge = await ada.challenged()
    owner.execute("UPDATE agentmem.accounts SET disabled_at = now() WHERE account_id = %s", [ada.account_id])

    with pytest.raises(Unauthenticated, match="over"):
        await ada.shows(challenge, code_at(secret, ada.step))


async def test_an_account_whose_password_was_changed_meanwhile_begins_anew(ada: Person, owner: Owner) -> None:
    secret = await ada.app()
    challenge = await ada.challenged()
    owner.execute("UPDATE agentmem.accounts SET valid_after = now() WHERE account_id = %s", [ada.account_id])

    with pytest.raises(Unauthenticated, match="over"):
        await ada.shows(challenge, code_at(secret, ada.step))


async def test_no_secret_of_a_factor_is_stored_in_clear(store: Store, memory: AsyncMemory, owner: Owner) -> None:
    outbox = Outbox()
    ada = await person_of(memory.app, senders={SMS: outbox})
    secret, key = await ada.app(), await ada.passkey()
    codes = (await ada.secondary.factors.make_recovery_codes(ada.caller)).codes
    await ada.secondary.codes.enrol(ada.caller, SMS, "+4915112345678")
    challenge = await ada.challenged()

    stored = "".join(
        str(owner.execute(f"SELECT array_agg(t::text) FROM agentmem.{table} t".encode()).fetchone())
        for table in (
            *("totp_factors", "recovery_codes", "passkeys", "factor_codes", "sign_in_challenges", "audit_entries"),
        )
    )

    hidden = [secret, codes[0], codes[0].replace("-", ""), outbox.sent[0][1], "4915112345678", challenge]
    written = [*(text.encode() for text in hidden), key.credential_id]
    assert stored.count(str(ada.account_id)) > 4
    for secret_bytes in written:
        for form in (secret_bytes.hex(), b64encode(secret_bytes).decode()):
            assert form not in stored
    for text in (secret, *codes, challenge, "+4915112345678"):
        assert text not in stored
