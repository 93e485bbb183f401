"""The first key of an organization: made once, by whichever process comes first."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from agentmem import AsyncMemory
from agentmem.foundation.authorization.roles import ROLES
from agentmem.pipelines.admission.first_start import first_key
from agentmem.schemas.access import Role
from tests.support.credentials import desk_of


async def test_first_key_acts_as_the_owner_for_ninety_days(memory: AsyncMemory) -> None:
    desk = desk_of(memory.app)
    issued = await first_key(desk.issuing, memory.app.caller)

    assert issued is not None
    admitted = await desk.present(issued)
    assert admitted.role is Role.OWNER
    assert admitted.caller.permissions == ROLES[Role.OWNER]
    assert admitted.caller.organization_id == memory.app.caller.organization_id
    assert issued.api_key.expires_at - issued.api_key.created_at == timedelta(days=90)
    assert admitted.expires_at == issued.api_key.expires_at


async def test_second_start_makes_no_key(memory: AsyncMemory) -> None:
    desk = desk_of(memory.app)
    issued = await first_key(desk.issuing, memory.app.caller)
    assert issued is not None
    await desk.issuing.revoke(memory.app.caller, issued.api_key.id, "gone")

    assert await first_key(desk_of(memory.app).issuing, memory.app.caller) is None
    assert len((await desk.keys.page(memory.app.caller, None, 10)).items) == 1


async def test_of_many_starts_at_once_one_makes_the_key(memory: AsyncMemory) -> None:
    desks = [desk_of(memory.app) for _ in range(6)]
    issued = await asyncio.gather(*(first_key(desk.issuing, memory.app.caller) for desk in desks))

    (key,) = [one for one in issued if one is not None]
    assert (await desks[0].present(key)).role is Role.OWNER
    assert len((await desks[0].keys.page(memory.app.caller, None, 10)).items) == 1
    assert len((await desks[0].members.page(memory.app.caller)).items) == 1
