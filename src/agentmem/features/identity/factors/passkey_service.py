"""Operations on the passkeys of the caller's own account."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from agentmem.errors import Conflict, NotFound
from agentmem.features.identity.accounts.repository import fetch_account
from agentmem.features.identity.factors import passkey_rows, repository
from agentmem.features.identity.factors.model import MOST_PASSKEYS, StoredPasskey, account_of
from agentmem.features.identity.factors.webauthn import Registered, refused
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.operations import operation
from agentmem.schemas.factors import Passkey


@dataclass(frozen=True, kw_only=True)
class PasskeyService:
    """Operations on the passkeys of the account that the caller is."""

    database: Database

    @operation(Permission.ACCOUNT_USE, read_only=True)
    async def all(self, tx: Transaction) -> list[StoredPasskey]:
        """Read the account's passkeys, the oldest first."""
        return await passkey_rows.fetch_passkeys(tx, account_of(tx.caller))

    @operation(Permission.ACCOUNT_USE, read_only=True)
    async def address(self, tx: Transaction) -> str:
        """Read the address of the account, under which a device shows its passkeys."""
        return (await fetch_account(tx, account_of(tx.caller))).email

    @operation(Permission.ACCOUNT_USE, read_only=True)
    async def find(self, tx: Transaction, credential_id: bytes) -> StoredPasskey | None:
        """Find one of the account's passkeys by its credential."""
        return await passkey_rows.fetch_passkey(tx, account_of(tx.caller), credential_id)

    @operation(Permission.ACCOUNT_USE, audit="passkey.added")
    async def add(self, tx: Transaction, name: str, made: Registered) -> Passkey:
        """Keep a passkey that was checked; raises :class:`Conflict` for one that is known, or one too many."""
        account_id = account_of(tx.caller)
        await fetch_account(tx, account_id)
        await repository.hold_factors(tx, account_id)
        if await passkey_rows.count_passkeys(tx, account_id) >= MOST_PASSKEYS:
            raise Conflict(f"The account has {MOST_PASSKEYS} passkeys, the most it can have.", hint="Remove one first.")
        passkey_id = await passkey_rows.insert_passkey(tx, account_id, name, made)
        tx.touch([passkey_id])
        return Passkey(id=passkey_id, name=name, created_at=tx.now)

    @operation(Permission.ACCOUNT_USE, audit="passkey.used")
    async def accept(self, tx: Transaction, passkey_id: UUID, sign_count: int) -> None:
        """Note that a passkey was used, its signature checked; raises :class:`Unauthenticated` for a count gone back.

        Such a count means that there is a copy of the key: the audit trail tells of it, and the passkey is to be
        removed by its owner.
        """
        tx.touch([passkey_id])
        if not await passkey_rows.accept_count(tx, passkey_id, sign_count):
            raise refused()
        await repository.clear_failures(tx, account_of(tx.caller))

    @operation(Permission.ACCOUNT_USE, audit="passkey.removed")
    async def remove(self, tx: Transaction, passkey_id: UUID) -> None:
        """Remove a passkey; raises :class:`NotFound`."""
        account_id = account_of(tx.caller)
        await repository.hold_factors(tx, account_id)
        if not await passkey_rows.remove_passkey(tx, account_id, passkey_id):
            raise NotFound(f"The account has no passkey {passkey_id}.")
        tx.touch([passkey_id])
