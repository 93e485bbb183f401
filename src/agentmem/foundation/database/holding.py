"""Holding subjects: whoever writes about a person keeps them from being erased until the transaction ends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from agentmem.errors import Conflict
from agentmem.foundation.database.transaction import Transaction

_HOLD: Final = b"""
SELECT subject, erasing, restricted, destroyed FROM agentmem.hold_subjects(%(subjects)s::bytea[], %(key_ids)s::uuid[])
"""


async def hold_subjects(tx: Transaction, user_ids: Iterable[str | None], *, writing: bool = False) -> None:
    """Have the keys of users at hand, and keep them whole until the transaction ends.

    A key that was destroyed since this process saw it gives way to a fresh one. Raises :class:`Conflict` for a user who
    is being erased, and for one who is restricted when something new is written (``writing``).
    """
    missing = {user_id for user_id in user_ids if user_id is not None and not tx.ring.holds(user_id)}
    while missing:
        key_ids = await tx.ring.prepare(missing)
        cursor = await tx.driver.execute(_HOLD, {"subjects": list(key_ids), "key_ids": list(key_ids.values())})
        marked = await cursor.fetchall()
        if any(erasing for _, erasing, _, _ in marked):
            raise Conflict("This user is being erased.", hint="Write about them again when the erasure has ended.")
        if writing and any(restricted for _, _, restricted, _ in marked):
            raise Conflict("This user is restricted, and nothing about them is changed.", hint="Lift it first.")
        gone = [bytes(subject) for subject, _, _, destroyed in marked if destroyed]
        if not gone:
            return
        for subject in gone:
            tx.ring.forget(subject)
