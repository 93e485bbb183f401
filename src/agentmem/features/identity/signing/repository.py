"""All SQL about the keys that sign access tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, delete, func, insert, select, update

from agentmem.features.identity.signing.model import KeyTimes, KnownKey
from agentmem.features.identity.signing.tables import signing_keys
from agentmem.foundation.database.system import SystemTransaction
from agentmem.foundation.database.transaction import Statements, Transaction
from agentmem.foundation.encryption.seal import Location
from agentmem.foundation.tokens.keys import PrivateKey, read_private_key, read_public_key
from agentmem.kit.ids import uuid7
from agentmem.schemas.sessions import SigningKey

_SEALED_VERSION: Final = 0
"""A key is sealed once, and never again."""


async def hold_keys(tx: Transaction) -> None:
    """Let one transaction at a time add and end keys."""
    text = func.concat(str(tx.organization_id), " signing keys")
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(text, 0))))


async def insert_key(tx: Transaction, key: PrivateKey, signs_from: datetime) -> UUID:
    """Write a key, its secret sealed, and give its id."""
    key_id = uuid7()
    row = {
        "organization_id": tx.organization_id,
        "key_id": key_id,
        "kid": key.kid,
        "public": dict(key.public.jwk),
        "sealed": tx.keys.keyring.sealer(signing_keys.name, "sealed")(key_id, _SEALED_VERSION, key.text()),
        "created_at": tx.now,
        "signs_from": signs_from,
    }
    await tx.execute(insert(signing_keys), row)
    return key_id


async def fetch_times(tx: Transaction) -> list[KeyTimes]:
    """Read when each key signs and checks."""
    rows = await tx.execute(select(signing_keys).where(tx.own(signing_keys)))
    return [_times(row) for row in rows]


async def fetch_known(tx: SystemTransaction) -> list[KnownKey]:
    """Read the public halves of the keys that check now, or will."""
    return [KnownKey(times=_times(row), public=read_public_key(row.public)) for row in await _checking(tx)]


async def fetch_views(tx: Transaction) -> list[SigningKey]:
    """Read the keys that check now, or will, without their secrets; those made first before the others."""
    return [
        SigningKey(
            id=row.key_id,
            kid=row.kid,
            created_at=row.created_at,
            signs_from=row.signs_from,
            checks_until=row.checks_until,
        )
        for row in await _checking(tx)
    ]


async def fetch_private(tx: Transaction, key_id: UUID) -> PrivateKey:
    """Read a key whole."""
    statement = select(signing_keys).where(tx.own(signing_keys), signing_keys.c.key_id == key_id)
    row = (await tx.execute(statement)).one()
    place = Location(table=signing_keys.name, column="sealed", row_id=row.key_id, row_version=_SEALED_VERSION)
    return read_private_key(await tx.ring.opened(place, bytes(row.sealed)))


async def end_keys(tx: Transaction, but: UUID, checks_until: datetime) -> list[UUID]:
    """Let all keys but one check no longer than to a moment, and name those that this changes."""
    later = (tx.own(signing_keys), signing_keys.c.key_id != but)
    open_end = func.coalesce(signing_keys.c.checks_until, datetime.max.replace(tzinfo=tx.now.tzinfo)) > checks_until
    statement = update(signing_keys).where(*later, open_end).values(checks_until=checks_until)
    return list((await tx.execute(statement.returning(signing_keys.c.key_id))).scalars())


async def forget_over(tx: Transaction) -> None:
    """Remove the keys that check nothing any more."""
    await tx.execute(delete(signing_keys).where(tx.own(signing_keys), signing_keys.c.checks_until < tx.now))


async def _checking(tx: Statements) -> list[Row[Any]]:
    checks = func.coalesce(signing_keys.c.checks_until > tx.now, True)
    statement = select(signing_keys).where(tx.own(signing_keys), checks)
    return list(await tx.execute(statement.order_by(signing_keys.c.created_at, signing_keys.c.key_id)))


def _times(row: Row[Any]) -> KeyTimes:
    return KeyTimes(key_id=row.key_id, signs_from=row.signs_from, checks_until=row.checks_until)
