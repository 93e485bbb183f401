"""Idempotency keys: the same request sent twice is done once."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from agentmem.errors import IdempotencyConflict
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.ledger.tables import idempotency_keys

KEPT: Final = timedelta(hours=24)
"""How long a key is kept where no setting says otherwise."""


async def forget(tx: Transaction, kept: timedelta) -> int:
    """Remove the organization's keys that are older than ``kept``, and say how many."""
    old = idempotency_keys.c.created_at < tx.now - kept
    return (await tx.execute(delete(idempotency_keys).where(tx.own(idempotency_keys), old))).rowcount


async def claim(
    tx: Transaction, *, operation: str, key: str, request_digest: bytes, result: list[UUID], kept: timedelta
) -> list[UUID] | None:
    """Record a request's result under its key; give the earlier result instead if the key was used before.

    One that is older than ``kept`` is forgotten, swept or not. A parallel request with the same key waits here until
    the first one has committed. Raises :class:`IdempotencyConflict` when the key was used with another request.
    """
    row: dict[str, JsonValue | object] = {
        "organization_id": tx.organization_id,
        "operation": operation,
        "key": key,
        "request_digest": request_digest,
        "result": [str(item) for item in result],
        "created_at": tx.now,
    }
    statement = insert(idempotency_keys)
    anew = statement.on_conflict_do_update(
        index_elements=list(idempotency_keys.primary_key),
        set_={name: statement.excluded[name] for name in ("request_digest", "result", "created_at")},
        where=idempotency_keys.c.created_at < tx.now - kept,
    )
    claimed = await tx.execute(anew.returning(idempotency_keys.c.key), row)
    if claimed.first() is not None:
        return None
    earlier = (
        await tx.execute(
            select(idempotency_keys.c.request_digest, idempotency_keys.c.result).where(
                tx.own(idempotency_keys),
                idempotency_keys.c.operation == operation,
                idempotency_keys.c.key == key,
            )
        )
    ).one()
    digest, ids = earlier
    if digest != request_digest:
        raise IdempotencyConflict(
            f"The idempotency key {key!r} was used before with a different request.",
            hint="Use a new key for a new request.",
        )
    if not isinstance(ids, list):
        raise IdempotencyConflict(f"The idempotency key {key!r} holds no result.", hint="Use a new key.")
    return [UUID(str(item)) for item in ids]
