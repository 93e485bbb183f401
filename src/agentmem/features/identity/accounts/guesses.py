"""All SQL about guesses at passwords: counted under the lock of their row, so that none is made unseen."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from agentmem.features.identity.accounts.model import Guesses, reserve
from agentmem.features.identity.accounts.tables import accounts
from agentmem.features.identity.accounts.tables import sign_in_failures as failures
from agentmem.foundation.database.transaction import Transaction
from agentmem.schemas.policies import LockoutPolicy


async def count_guess(tx: Transaction, subject: bytes, device: UUID, policy: LockoutPolicy) -> bool:
    """Count a guess, and tell whether it is to be made now; others of the same device wait until this is written."""
    of_device = tx.own(failures), failures.c.subject == subject, failures.c.device == device
    key = {"organization_id": tx.organization_id, "subject": subject, "device": device}
    none = {"failures": 0, "consecutive": 0, "tried_at": tx.now}
    # The row that is there is written as it is: that locks it, and gives it in the same statement.
    held = upsert(failures).on_conflict_do_update(
        index_elements=["organization_id", "subject", "device"], set_={"device": device}
    )
    row = (await tx.execute(held.returning(failures), {**key, **none})).one()
    before = Guesses(
        failures=row.failures, consecutive=row.consecutive, tried_at=row.tried_at, locked_until=row.locked_until
    )
    after = reserve(before, policy, tx.now)
    kept = before if after is None else after
    values = {name: getattr(kept, name) for name in ("failures", "consecutive", "tried_at", "locked_until")}
    await tx.execute(update(failures).where(*of_device).values(values))
    return after is not None


async def forgive_guesses(tx: Transaction, subject: bytes, device: UUID | None = None) -> None:
    """Forget the guesses from a device, or from all."""
    statement = delete(failures).where(tx.own(failures), failures.c.subject == subject)
    await tx.execute(statement if device is None else statement.where(failures.c.device == device))


async def lift_delays(tx: Transaction, subject: bytes) -> None:
    """End the delays of all devices; what counts towards the hard cap stays."""
    statement = update(failures).where(tx.own(failures), failures.c.subject == subject)
    await tx.execute(statement.values(failures=0, locked_until=None))


async def forget_guesses(tx: Transaction, before: datetime) -> int:
    """Forget guesses from before a moment, and count them; those at an account stay, for the hard cap counts them."""
    known = select(accounts.c.email_mac).where(tx.own(accounts))
    old = tx.own(failures), failures.c.tried_at < before, failures.c.subject.not_in(known)
    return (await tx.execute(delete(failures).where(*old))).rowcount
