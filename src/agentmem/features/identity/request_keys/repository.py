"""All SQL about keys that sign requests."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, func, insert, select, update

from agentmem.errors import NotFound
from agentmem.features.identity.request_keys.model import Material, StoredRequestKey
from agentmem.features.identity.request_keys.tables import request_keys
from agentmem.foundation.database.system import SystemTransaction
from agentmem.foundation.database.transaction import Transaction
from agentmem.schemas.request_keys import NewRequestKey, RequestKey, SignatureAlgorithm, to_text

SHOWN = tuple(column for column in request_keys.c if column.name != "sealed")


async def insert_request_key(tx: Transaction, key_id: str, new: NewRequestKey, material: Material) -> RequestKey:
    """Write a key, and give it as it then stands."""
    row = {
        "organization_id": tx.organization_id,
        "request_key_id": material.request_key_id,
        "key_id": key_id,
        "name": new.name,
        "algorithm": new.algorithm.value,
        "public_key": material.public_key,
        "sealed": material.sealed,
        "created_by": tx.caller.principal_id,
        "created_at": tx.now,
    }
    await tx.execute(insert(request_keys), row)
    return await fetch_request_key(tx, key_id, material.request_key_id)


async def fetch_request_key(tx: Transaction, key_id: str, request_key_id: str) -> RequestKey:
    """Read a key that signs the requests of this API key, or raise :class:`NotFound`."""
    statement = select(*SHOWN).where(
        tx.own(request_keys), request_keys.c.key_id == key_id, request_keys.c.request_key_id == request_key_id
    )
    row = (await tx.execute(statement)).first()
    if row is None:
        raise NotFound(f"The API key {key_id!r} has no signing key {request_key_id!r}.")
    return _to_request_key(row)


async def fetch_all(tx: Transaction, key_id: str) -> list[RequestKey]:
    """Read all that ever signed the requests of an API key, the oldest first."""
    statement = select(*SHOWN).where(tx.own(request_keys), request_keys.c.key_id == key_id)
    ordered = statement.order_by(request_keys.c.created_at, request_keys.c.request_key_id)
    return [_to_request_key(row) for row in await tx.execute(ordered)]


async def count_good(tx: Transaction, key_id: str) -> int:
    """Count the keys of an API key that are not revoked."""
    good = (tx.own(request_keys), request_keys.c.key_id == key_id, request_keys.c.revoked_at.is_(None))
    return int((await tx.execute(select(func.count()).select_from(request_keys).where(*good))).scalar_one())


async def revoke_request_key(tx: Transaction, key_id: str, request_key_id: str) -> RequestKey:
    """End a key, once; raises :class:`NotFound`."""
    statement = (
        update(request_keys)
        .where(tx.own(request_keys), request_keys.c.key_id == key_id, request_keys.c.request_key_id == request_key_id)
        .values(revoked_at=func.coalesce(request_keys.c.revoked_at, tx.now))
    )
    await tx.execute(statement)
    return await fetch_request_key(tx, key_id, request_key_id)


async def fetch_good(tx: SystemTransaction, key_id: str) -> list[StoredRequestKey]:
    """Read the keys that may sign the requests of an API key now."""
    columns = (request_keys.c[name] for name in ("request_key_id", "algorithm", "public_key", "sealed"))
    good = (tx.own(request_keys), request_keys.c.key_id == key_id, request_keys.c.revoked_at.is_(None))
    return [
        StoredRequestKey(
            request_key_id=row.request_key_id,
            algorithm=SignatureAlgorithm(row.algorithm),
            public_key=row.public_key,
            sealed=row.sealed,
        )
        for row in await tx.execute(select(*columns).where(*good))
    ]


def _to_request_key(row: Row[Any]) -> RequestKey:
    return RequestKey(
        id=row.request_key_id,
        key_id=row.key_id,
        name=row.name,
        algorithm=SignatureAlgorithm(row.algorithm),
        public_key=None if row.public_key is None else to_text(row.public_key),
        created_by=row.created_by,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )
