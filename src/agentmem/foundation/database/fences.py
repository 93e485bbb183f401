"""Fences: whoever begins a work for one process alone raises its number, and whoever began it before is refused."""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert

from agentmem.errors import LockLost
from agentmem.foundation.authorization.caller import Fence
from agentmem.foundation.database.tables import fences
from agentmem.foundation.database.transaction import Transaction

_FIRST: Final = insert(fences).values(number=1)
_RAISE: Final = _FIRST.on_conflict_do_update(
    index_elements=list(fences.primary_key), set_={"number": fences.c.number + 1}
).returning(fences.c.number)


async def raise_fence(tx: Transaction, work: str) -> Fence:
    """Begin a work; waits for the transactions of whoever began it before, and refuses those that come later."""
    raised = await tx.execute(_RAISE, {"organization_id": tx.organization_id, "work": work})
    return Fence(work=work, number=raised.scalar_one())


async def require_fence(tx: Transaction, fence: Fence) -> None:
    """Raise :class:`LockLost` if another has begun the work; keeps others from beginning it until this has ended."""
    found = await tx.execute(
        select(fences.c.number).where(tx.own(fences), fences.c.work == bindparam("work")).with_for_update(read=True),
        {"work": fence.work},
    )
    if found.scalar() != fence.number:
        raise LockLost(
            f"Another process has begun this work: {fence.work}.", hint="Let that one end; nothing more was written."
        )
