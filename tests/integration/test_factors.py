"""Second factors of accounts: each is taken once, and nothing is signed in to without what is owed."""

from __future__ import annotations

import asyncio
from base64 import b64encode

import pytest

from agentmem import AsyncMemory
from agentmem.errors import Conflict, InvalidInput, NotFound, RateLimited, Unauthenticated
from agentmem.features.identity.factors.model import MOST_FAILURES
from agentmem.features.identity.factors.totp import code_at
from agentmem.foundation.authorization.caller import accounts_caller
from agentmem.foundation.state.memory import MemoryState
from agentmem.schemas.access import Role
from agentmem.schemas.factors import ChallengeStatus, FactorChoice, FactorKind, FactorProof
from agentmem.schemas.policies import FactorPolicy
from tests.support.second_factors import HOME, Outbox, Person, later, person_of, second_factors
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
