"""All SQL about the rows of an organization's keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import delete, insert, select, update

from agentmem.errors import Conflict
from agentmem.foundation.database.resealing import sealed_tables, values_by_key
from agentmem.foundation.database.tables import encryption_keys
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.database.wrapped_keys import to_wrapped_key
from agentmem.foundation.encryption.keyring import WrappedKey
from agentmem.foundation.encryption.providers.port import KeyPurpose

_ALONE: Final = b"SELECT pg_try_advisory_xact_lock(x'726f7461'::integer, hashtext(%(organization_id)s))"
# agentmem.enter holds the same lock, shared, until its transaction ends.
_NOBODY_WRITES: Final = b"SELECT pg_advisory_xact_lock(x'65726173'::integer, hashtext(%(organization_id)s))"


async def fetch_keys(tx: Transaction) -> list[WrappedKey]:
    """Read the organization's keys, wrapped, the oldest first."""
    statement = select(encryption_keys).where(tx.own(encryption_keys)).order_by(encryption_keys.c.created_at)
    return [to_wrapped_key(row) for row in await tx.execute(statement)]


async def succeed(tx: Transaction, successor: WrappedKey) -> None:
    """Retire the active data key in favour of a new one, once nobody writes under it any more.

    Raises :class:`Conflict` while another does the same.
    """
    own = {"organization_id": str(tx.organization_id)}
    alone = await (await tx.driver.execute(_ALONE, own)).fetchone()
    if alone is None or not alone[0]:
        raise Conflict("The data key is being rotated.", hint="Wait for it to end.")
    await tx.driver.execute(_NOBODY_WRITES, own)
    active = (encryption_keys.c.purpose == KeyPurpose.DATA.value, encryption_keys.c.retired_at.is_(None))
    await tx.execute(update(encryption_keys).where(tx.own(encryption_keys), *active).values(retired_at=tx.now))
    row = {
        "organization_id": tx.organization_id,
        "key_id": successor.key_id,
        "purpose": successor.purpose.value,
        "wrapped": successor.wrapped,
        "provider": successor.provider,
        "provider_key_id": successor.provider_key_id,
        "created_at": tx.now,
    }
    await tx.execute(insert(encryption_keys), row)


async def replace_wrapping(tx: Transaction, before: WrappedKey, anew: WrappedKey) -> bool:
    """Put a key's new wrapping in the place of the old one, and tell whether that was still there."""
    same = (encryption_keys.c.key_id == before.key_id, encryption_keys.c.wrapped == before.wrapped)
    changed = await tx.execute(
        update(encryption_keys)
        .where(tx.own(encryption_keys), *same)
        .values(wrapped=anew.wrapped, provider_key_id=anew.provider_key_id)
    )
    return changed.rowcount == 1


async def retired_keys(tx: Transaction) -> list[UUID]:
    """Name the data keys that are retired."""
    retired = (encryption_keys.c.purpose == KeyPurpose.DATA.value, encryption_keys.c.retired_at.is_not(None))
    statement = select(encryption_keys.c.key_id).where(tx.own(encryption_keys), *retired)
    return list((await tx.execute(statement)).scalars())


async def remove_unused(tx: Transaction, wrapping: Sequence[UUID]) -> list[UUID]:
    """Remove the retired data keys that seal nothing, and are none of those that still wrap keys of subjects."""
    used = set(wrapping)
    for table in sealed_tables().values():
        used |= (await values_by_key(tx, table)).keys()
    unused = [key_id for key_id in await retired_keys(tx) if key_id not in used]
    await tx.execute(delete(encryption_keys).where(tx.own(encryption_keys), encryption_keys.c.key_id.in_(unused)))
    return unused
