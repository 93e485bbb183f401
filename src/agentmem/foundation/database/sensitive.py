"""Which keys of metadata an organization has sealed, as every writer asks within its own transaction."""

from __future__ import annotations

from typing import Final

from agentmem.errors import Conflict
from agentmem.foundation.database.transaction import Transaction

_KEYS: Final = b"SELECT agentmem.sensitive_keys()"
_ALONE: Final = b"SELECT pg_try_advisory_xact_lock(x'73656e73'::integer, hashtext(%(organization_id)s))"
# agentmem.enter holds the same lock, shared, until its transaction ends.
_NOBODY_WRITES: Final = b"SELECT pg_advisory_xact_lock(x'65726173'::integer, hashtext(%(organization_id)s))"


async def sensitive_keys(tx: Transaction) -> frozenset[str]:
    """Read the keys whose values are sealed."""
    row = await (await tx.driver.execute(_KEYS)).fetchone()
    return frozenset(row[0] if row is not None else ())


async def let_writers_end(tx: Transaction) -> None:
    """Wait until nobody writes by the keys as they were, and let nobody begin until the transaction ends.

    Raises :class:`Conflict` while another does the same.
    """
    own = {"organization_id": str(tx.organization_id)}
    alone = await (await tx.driver.execute(_ALONE, own)).fetchone()
    if alone is None or not alone[0]:
        raise Conflict("The sensitive keys of the metadata are being changed.", hint="Try again in a moment.")
    await tx.driver.execute(_NOBODY_WRITES, own)
