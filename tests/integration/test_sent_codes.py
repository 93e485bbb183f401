"""Codes by mail and by SMS: each is good once, for a while, and sent no more often than a person would ask for it."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from agentmem import AsyncMemory
from agentmem.errors import Conflict, RateLimited, Unauthenticated
from agentmem.schemas.factors import FactorChoice, FactorKind
from agentmem.schemas.policies import FactorPolicy
from tests.support.second_factors import HOME, Outbox, Person, later, person_of

TOTP, EMAIL, SMS = FactorKind.TOTP, FactorKind.EMAIL, FactorKind.SMS


@pytest.fixture
async def ada(memory: AsyncMemory) -> Person:
    """Somebody who has an account and nothing else."""
    return await person_of(memory.app)


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
