"""All SQL about single sign-on."""

from __future__ import annotations

from typing import Final

from sqlalchemy import delete, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError

from agentmem.errors import Conflict
from agentmem.features.identity.federation.model import Identity
from agentmem.features.identity.federation.tables import federated_identities, sso_secrets
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.encryption.seal import Location
from agentmem.kit.ids import AccountId

_VERSION: Final = 1
"""Of a secret: each is written whole, with a nonce of its own."""


async def fetch_account_id(tx: Transaction, identity: Identity) -> AccountId | None:
    """Look up the account of an identity."""
    mac = tx.keys.index.identifier_mac(identity.text)
    statement = select(federated_identities.c.account_id).where(
        tx.own(federated_identities), federated_identities.c.identity_mac == mac
    )
    row = (await tx.execute(statement)).first()
    return None if row is None else AccountId(row.account_id)


async def insert_identity(tx: Transaction, identity: Identity, account_id: AccountId) -> None:
    """Write whose an identity is; raises :class:`Conflict` if it is somebody's already."""
    row = {
        "organization_id": tx.organization_id,
        "identity_mac": tx.keys.index.identifier_mac(identity.text),
        "account_id": account_id,
        "created_at": tx.now,
    }
    try:
        await tx.execute(insert(federated_identities), row)
    except IntegrityError:
        raise Conflict("Somebody has just signed in as the same person.", hint="Sign in again.") from None


async def write_secret(tx: Transaction, secret: str | None) -> None:
    """Write the secret for the provider in place of the one before, or take it away."""
    if secret is None:
        await tx.execute(delete(sso_secrets).where(tx.own(sso_secrets)))
        return
    seal = tx.keys.keyring.sealer(sso_secrets.name, "sealed")
    new = upsert(sso_secrets).values(
        organization_id=tx.organization_id,
        sealed=seal(tx.organization_id, _VERSION, secret.encode()),
        version=_VERSION,
    )
    await tx.execute(
        new.on_conflict_do_update(index_elements=["organization_id"], set_={"sealed": new.excluded.sealed})
    )


async def fetch_secret(tx: Transaction) -> str | None:
    """Read the secret for the provider, if there is one."""
    row = (await tx.execute(select(sso_secrets.c.sealed).where(tx.own(sso_secrets)))).first()
    if row is None:
        return None
    place = Location(table=sso_secrets.name, column="sealed", row_id=tx.organization_id, row_version=_VERSION)
    return (await tx.ring.opened(place, row.sealed)).decode()
