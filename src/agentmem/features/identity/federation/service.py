"""Operations on single sign-on."""

from __future__ import annotations

from dataclasses import dataclass

from agentmem.features.identity.federation import repository
from agentmem.features.identity.federation.model import Identity
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import AccountId
from agentmem.operations import operation


@dataclass(frozen=True, kw_only=True)
class FederationService:
    """Operations on whom the caller's organization's provider vouches for, and on the secret by which it knows us."""

    database: Database

    @operation(Permission.ORGANIZATION_WRITE, audit="sso.secret_set")
    async def set_secret(self, tx: Transaction, secret: str | None) -> None:
        """Keep the secret of our client at the provider, sealed; ``None`` takes it away. It is never shown again."""
        tx.touch([tx.organization_id])
        await repository.write_secret(tx, secret)

    @operation(Permission.SSO_USE, read_only=True)
    async def secret(self, tx: Transaction) -> str | None:
        """Read the secret of our client at the provider."""
        return await repository.fetch_secret(tx)

    @operation(Permission.SSO_USE, read_only=True)
    async def account_of(self, tx: Transaction, identity: Identity) -> AccountId | None:
        """Look up the account of an identity."""
        return await repository.fetch_account_id(tx, identity)

    @operation(Permission.SSO_USE, audit="sso.identity_linked")
    async def link(self, tx: Transaction, identity: Identity, account_id: AccountId) -> None:
        """Say whose an identity is, once; raises :class:`Conflict` for one that has an account."""
        tx.touch([account_id])
        await repository.insert_identity(tx, identity, account_id)
