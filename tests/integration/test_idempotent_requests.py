"""The ledger of idempotent requests: claims, leases, and sealed answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from agentmem import AsyncMemory
from agentmem.errors import IdempotencyConflict, OutcomeUnknown, RequestRunning
from agentmem.foundation.ledger.requests import Begun, IdempotentRequests, Replay, StoredAnswer
from tests.support.stores import Owner

ANSWER = StoredAnswer(status=201, headers={"etag": '"1"'}, body=b"canary-of-an-answer")
ROUTE = "POST /v1/memories"
DIGEST = b"a digest"


def at(memory: AsyncMemory, *, hours: float = 0) -> IdempotentRequests:
    """Give the ledger as it is so many hours from now."""
    database = replace(memory.app.database, ahead=timedelta(hours=hours))
    return IdempotentRequests(database=database, kept=timedelta(hours=24))


async def begun(memory: AsyncMemory, key: str = "one", *, lease: float = 30) -> Begun:
    """Claim a key."""
    claim = await at(memory).begin(memory.app.caller, ROUTE, key, DIGEST, lease=lease)
    assert isinstance(claim, Begun)
    return claim


async def test_finished_request_is_replayed(memory: AsyncMemory) -> None:
    claim = await begun(memory)
    await at(memory).finish(memory.app.caller, "one", claim, DIGEST, ANSWER)
    again = await at(memory).begin(memory.app.caller, ROUTE, "one", DIGEST, lease=30)
    assert again == Replay(answer=ANSWER, digest=DIGEST)


async def test_sweep_forgets_the_keys_of_adds_with_the_answers(memory: AsyncMemory, owner: Owner) -> None:
    await memory.add("told once", idempotency_key="one")
    await at(memory).sweep(memory.app.caller)
    kept = "SELECT count(*) FROM agentmem.idempotency_keys WHERE organization_id = %s"
    organization = [memory.app.caller.organization_id]
    assert owner.execute(kept, organization).fetchone() == (1,)
    await at(memory, hours=25).sweep(memory.app.caller)
    assert owner.execute(kept, organization).fetchone() == (0,)


async def test_running_request_is_waited_for(memory: AsyncMemory) -> None:
    await begun(memory)
    with pytest.raises(RequestRunning) as caught:
        await at(memory).begin(memory.app.caller, ROUTE, "one", DIGEST, lease=30)
    assert caught.value.retry_after == 1.0


async def test_claim_whose_lease_is_over_is_done_again_only_if_that_is_safe(memory: AsyncMemory) -> None:
    await begun(memory)
    later = at(memory, hours=1)
    with pytest.raises(OutcomeUnknown):
        await later.begin(memory.app.caller, ROUTE, "one", DIGEST, lease=30)
    resumed = await later.begin(memory.app.caller, ROUTE, "one", DIGEST, lease=30, resumable=True)
    assert isinstance(resumed, Begun)
    assert resumed.resumed


async def test_attempt_that_was_overtaken_does_not_end_the_later_one(memory: AsyncMemory) -> None:
    first = await begun(memory)
    later = at(memory, hours=1)
    await later.begin(memory.app.caller, ROUTE, "one", DIGEST, lease=30, resumable=True)
    await later.finish(memory.app.caller, "one", first, DIGEST, ANSWER)
    with pytest.raises(RequestRunning):
        await later.begin(memory.app.caller, ROUTE, "one", DIGEST, lease=30)


async def test_lapsed_claim_leaves_the_outcome_unknown(memory: AsyncMemory) -> None:
    await at(memory).lapse(memory.app.caller, "one", await begun(memory))
    with pytest.raises(OutcomeUnknown):
        await at(memory).begin(memory.app.caller, ROUTE, "one", DIGEST, lease=30)


async def test_abandoned_key_is_free_again(memory: AsyncMemory) -> None:
    await at(memory).abandon(memory.app.caller, "one", await begun(memory))
    assert not (await begun(memory)).resumed


@pytest.mark.parametrize("route,digest", [(ROUTE, b"other"), ("POST /v1/members", DIGEST)])
async def test_key_of_another_request_is_refused(memory: AsyncMemory, route: str, digest: bytes) -> None:
    await begun(memory)
    with pytest.raises(IdempotencyConflict):
        await at(memory).begin(memory.app.caller, route, "one", digest, lease=30)


async def test_old_answers_are_swept_and_forgotten(memory: AsyncMemory) -> None:
    for key in ("one", "two"):
        await at(memory).finish(memory.app.caller, key, await begun(memory, key), DIGEST, ANSWER)
    later = at(memory, hours=25)
    fresh = await later.begin(memory.app.caller, ROUTE, "one", b"something else", lease=30)
    assert isinstance(fresh, Begun)
    assert await later.sweep(memory.app.caller) == 1


async def test_answers_are_sealed_at_rest(memory: AsyncMemory, owner: Owner) -> None:
    await at(memory).finish(memory.app.caller, "one", await begun(memory), DIGEST, ANSWER)
    rows = owner.execute("SELECT body FROM agentmem.idempotent_requests WHERE body IS NOT NULL").fetchall()
    assert rows
    assert all(ANSWER.body not in bytes(row[0]) for row in rows if isinstance(row[0], bytes | memoryview))
