"""All SQL about passkeys."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from agentmem.errors import Conflict
from agentmem.features.identity.factors.model import StoredPasskey
from agentmem.features.identity.factors.tables import passkeys
from agentmem.features.identity.factors.webauthn import Registered
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.encryption.seal import Location
from agentmem.kit.ids import AccountId, uuid7
from agentmem.schemas.factors import Passkey

_SEALED_VERSION: Final = 1


async def insert_passkey(tx: Transaction, account_id: AccountId, name: str, made: Registered) -> UUID:
    """Write a passkey; raises :class:`Conflict` for one that is known already, of whichever account."""
    passkey_id = uuid7()
    parts = {"name": name, "id": b64encode(made.credential_id).decode(), "key": b64encode(made.public_key).decode()}
    row = {
        "organization_id": tx.organization_id,
        "passkey_id": passkey_id,
        "account_id": account_id,
        "credential_mac": _mac(tx, made.credential_id),
        "sealed": tx.keys.keyring.sealer(passkeys.name, "sealed")(
            passkey_id, _SEALED_VERSION, json.dumps({**parts, "account": str(account_id)}).encode()
        ),
        "sign_count": made.sign_count,
        "created_at": tx.now,
    }
    try:
        await tx.execute(insert(passkeys), row)
    except IntegrityError:
        raise Conflict("This passkey is known already.", hint="Use another device, or another key.") from None
    return passkey_id


async def fetch_passkeys(tx: Transaction, account_id: AccountId) -> list[StoredPasskey]:
    """Read the passkeys of an account, the oldest first."""
    statement = select(passkeys).where(tx.own(passkeys), passkeys.c.account_id == account_id)
    return [await _stored(tx, row) for row in await tx.execute(statement.order_by(passkeys.c.passkey_id))]


async def fetch_views(tx: Transaction, account_id: AccountId) -> list[Passkey]:
    """Read what is shown of the passkeys of an account, the oldest first."""
    statement = select(passkeys).where(tx.own(passkeys), passkeys.c.account_id == account_id)
    rows = (await tx.execute(statement.order_by(passkeys.c.passkey_id))).all()
    return [
        Passkey(
            id=row.passkey_id,
            name=(await _stored(tx, row)).name,
            created_at=row.created_at,
            last_used_at=row.last_used_at,
        )
        for row in rows
    ]


async def fetch_passkey(tx: Transaction, account_id: AccountId, credential_id: bytes) -> StoredPasskey | None:
    """Find a passkey of an account by its credential."""
    statement = select(passkeys).where(
        tx.own(passkeys), passkeys.c.account_id == account_id, passkeys.c.credential_mac == _mac(tx, credential_id)
    )
    row = (await tx.execute(statement)).first()
    return None if row is None else await _stored(tx, row)


async def count_passkeys(tx: Transaction, account_id: AccountId) -> int:
    """Count the passkeys of an account."""
    of_account = (tx.own(passkeys), passkeys.c.account_id == account_id)
    return int((await tx.execute(select(func.count()).select_from(passkeys).where(*of_account))).scalar_one())


async def accept_count(tx: Transaction, passkey_id: UUID, said: int) -> bool:
    """Note a use of a passkey, and say whether its count is one that no copy of it has said before.

    An authenticator that does not count says 0 for ever (WebAuthn level 3, section 6.1.1).
    """
    statement = (
        update(passkeys)
        .where(tx.own(passkeys), passkeys.c.passkey_id == passkey_id)
        .where(passkeys.c.sign_count < said if said else passkeys.c.sign_count == 0)
        .values(sign_count=said, last_used_at=tx.now)
        .returning(passkeys.c.passkey_id)
    )
    return (await tx.execute(statement)).first() is not None


async def remove_passkey(tx: Transaction, account_id: AccountId, passkey_id: UUID) -> bool:
    """Remove a passkey of an account, and say whether it was there."""
    statement = delete(passkeys).where(
        tx.own(passkeys), passkeys.c.account_id == account_id, passkeys.c.passkey_id == passkey_id
    )
    return bool((await tx.execute(statement)).rowcount)


def _mac(tx: Transaction, credential_id: bytes) -> bytes:
    return tx.keys.index.identifier_mac(f"passkey {b64encode(credential_id).decode()}")


async def _stored(tx: Transaction, row: Row[Any]) -> StoredPasskey:
    """Map a row, and open what is sealed of it."""
    place = Location(table=passkeys.name, column="sealed", row_id=row.passkey_id, row_version=_SEALED_VERSION)
    values = json.loads(await tx.ring.opened(place, row.sealed))
    return StoredPasskey(
        passkey_id=row.passkey_id,
        # The sealed one: a row that was moved to another account opens no door there.
        account_id=AccountId(UUID(values["account"])),
        credential_id=b64decode(values["id"]),
        public_key=b64decode(values["key"]),
        name=values["name"],
        sign_count=row.sign_count,
    )
