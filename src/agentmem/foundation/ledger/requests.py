"""Requests sent twice under one idempotency key: the first is done, the second is told what the first answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Row
from sqlalchemy.sql import ColumnElement

from agentmem.errors import IdempotencyConflict, OutcomeUnknown, RequestRunning
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.ledger.idempotency import forget
from agentmem.foundation.ledger.tables import idempotent_requests
from agentmem.kit.ids import uuid7_again

RUNNING: Final = "running"
DONE: Final = "done"
SWEPT_AT_ONCE: Final = 1000
_table = idempotent_requests


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredAnswer:
    """The answer to a request: what is kept of it, and sent again."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun:
    """The request is the caller's to do; ``row_id`` marks this attempt, so that no later one is ended by it."""

    row_id: UUID
    made_id: UUID
    """An id for what the request makes: the same at every attempt."""
    resumed: bool = False
    """Whether an earlier attempt was cut off, so that part of it may be done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """The request was done before: its answer, and the digest of what was asked."""

    answer: StoredAnswer
    digest: bytes


def same_request(key: str, first: bytes | None, second: bytes | None) -> None:
    """Raise :class:`IdempotencyConflict` when what is known of two requests with one key differs."""
    if first is not None and second is not None and first != second:
        raise IdempotencyConflict(
            f"The idempotency key {key!r} was used before with a different request.",
            hint="Use a new key for a new request.",
        )


@dataclass(frozen=True, kw_only=True)
class IdempotentRequests:
    """The answers of an organization's recent requests, by the principal that asked and the key it gave."""

    database: Database
    kept: timedelta
    """How long an answer is kept."""

    async def begin(
        self, caller: Caller, route: str, key: str, digest: bytes | None, *, lease: float, resumable: bool = False
    ) -> Begun | Replay:
        """Claim a key for a request, or give the answer of the request that had it before.

        ``digest`` is what was asked, or ``None`` while that is still arriving. The claim holds for ``lease`` seconds;
        after them a ``resumable`` request may be done again, and of any other the outcome is not known.
        """
        async with self.database.transaction(caller) as tx:
            while True:
                row_id = uuid4()
                values = _claim(tx, row_id, route, digest, lease)
                row = {"organization_id": tx.organization_id, "namespace": caller.namespace, "key": key, **values}
                claimed = await tx.execute(insert(_table).on_conflict_do_nothing().returning(_table.c.key), row)
                if claimed.first() is not None:
                    return _begun(caller, key, row_id, tx.now)
                found = (await tx.execute(select(_table).where(_own(tx, key)).with_for_update())).first()
                if found is None:  # given up in between
                    continue
                if found.created_at < tx.now - self.kept:
                    await tx.execute(update(_table).where(_own(tx, key)).values(**values))
                    return _begun(caller, key, row_id, tx.now)
                same_request(key, found.route.encode(), route.encode())
                same_request(key, found.request_digest, digest)
                if found.state == DONE:
                    return await _replay(tx, found)
                if found.lease_until > tx.now:
                    raise RequestRunning(
                        f"The request with the idempotency key {key!r} is still running.",
                        hint="Ask again with the same key.",
                        retry_after=1.0,
                    )
                if not resumable:
                    raise OutcomeUnknown(
                        f"The request with the idempotency key {key!r} was cut off; it may have been done.",
                        hint="Look whether it was, and use a new key if it was not.",
                    )
                values["created_at"] = found.created_at
                await tx.execute(update(_table).where(_own(tx, key)).values(**values))
                return replace(_begun(caller, key, row_id, found.created_at), resumed=True)

    async def finish(self, caller: Caller, key: str, begun: Begun, digest: bytes, answer: StoredAnswer) -> None:
        """Keep the answer of a request; its body is sealed."""
        async with self.database.transaction(caller) as tx:
            sealed = tx.keys.keyring.sealer(_table.name, "body")(begun.row_id, 0, answer.body)
            await tx.execute(
                update(_table)
                .where(_own(tx, key), _table.c.row_id == begun.row_id)
                .values(
                    request_digest=digest,
                    state=DONE,
                    status=answer.status,
                    headers=dict(answer.headers),
                    body=sealed,
                )
            )

    async def abandon(self, caller: Caller, key: str, begun: Begun) -> None:
        """Give a key back: nothing was done."""
        async with self.database.transaction(caller) as tx:
            await tx.execute(delete(_table).where(_own(tx, key), _table.c.row_id == begun.row_id))

    async def lapse(self, caller: Caller, key: str, begun: Begun) -> None:
        """End a claim whose request failed in a way that leaves open what was done."""
        async with self.database.transaction(caller) as tx:
            mine = _own(tx, key) & (_table.c.row_id == begun.row_id)
            await tx.execute(update(_table).where(mine).values(lease_until=tx.now))

    async def forget_all(self, caller: Caller) -> int:
        """Forget every answer of the organization, and say how many; requests that run are left alone."""
        async with self.database.transaction(caller) as tx:
            return (await tx.execute(delete(_table).where(tx.own(_table), _table.c.state == DONE))).rowcount

    async def sweep(self, caller: Caller) -> int:
        """Forget the organization's answers that have been kept long enough, and say how many; and the keys of adds."""
        removed = 0
        while True:
            async with self.database.transaction(caller) as tx:
                old = (
                    select(_table.c.namespace, _table.c.key)
                    .where(tx.own(_table), _table.c.created_at < tx.now - self.kept)
                    .limit(SWEPT_AT_ONCE)
                )
                rows = (await tx.execute(old)).all()
                for row in rows:
                    await tx.execute(delete(_table).where(_named(tx, row.namespace, row.key)))
                last = len(rows) < SWEPT_AT_ONCE
                if last:
                    await forget(tx, self.kept)
            removed += len(rows)
            if last:
                return removed


def _begun(caller: Caller, key: str, row_id: UUID, first: datetime) -> Begun:
    return Begun(row_id=row_id, made_id=uuid7_again(first, f"{caller.organization_id} {caller.namespace} {key}"))


def _claim(tx: Transaction, row_id: UUID, route: str, digest: bytes | None, lease: float) -> dict[str, object]:
    return {
        "route": route,
        "request_digest": digest,
        "state": RUNNING,
        "lease_until": tx.now + timedelta(seconds=lease),
        "status": None,
        "headers": None,
        "row_id": row_id,
        "body": None,
        "created_at": tx.now,
    }


def _own(tx: Transaction, key: str) -> ColumnElement[bool]:
    return _named(tx, tx.caller.namespace, key)


def _named(tx: Transaction, namespace: str, key: str) -> ColumnElement[bool]:
    return tx.own(_table) & (_table.c.namespace == namespace) & (_table.c.key == key)


async def _replay(tx: Transaction, found: Row[tuple[object, ...]]) -> Replay:
    await tx.ring.unlock([found.body])
    body = tx.ring.opener(_table.name, "body")(found.row_id, 0, found.body)
    return Replay(
        answer=StoredAnswer(status=found.status, headers=found.headers, body=body), digest=bytes(found.request_digest)
    )
