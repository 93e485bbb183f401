"""Operations on accounts, by operators of the platform and by the platform itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agentmem.features.identity.accounts import repository
from agentmem.features.identity.accounts.addresses import canonical
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import AccountId, uuid7
from agentmem.kit.paging import decode_id, query_fingerprint
from agentmem.operations import operation
from agentmem.schemas.accounts import Account, NewAccount
from agentmem.schemas.memories import Page, page_by_id

_PAGES: Final = query_fingerprint("accounts")


@dataclass(frozen=True, kw_only=True)
class AccountService:
    """Operations on accounts; the caller's organization is the platform's."""

    database: Database

    @operation(Permission.ACCOUNT_MANAGE, audit="account.created")
    async def create(self, tx: Transaction, new: NewAccount, hashed: str | None, *, verified: bool) -> Account:
        """Make an account, with a password if a hash of one is given; raises :class:`Conflict` if there is one."""
        account_id = AccountId(uuid7())
        tx.touch([account_id])
        found = new.model_copy(update={"email": canonical(new.email)})
        account = await repository.insert_account(tx, account_id, found, verified=verified)
        if hashed is not None:
            await repository.add_password(tx, account_id, hashed, kept=0)
        return account

    @operation(Permission.ACCOUNT_MANAGE, read_only=True)
    async def page(self, tx: Transaction, cursor: str | None = None, limit: int = 100) -> Page[Account]:
        """Read a page of accounts, the oldest first; raises :class:`InvalidCursor`."""
        found = await repository.fetch_page(tx, decode_id(cursor, _PAGES), limit + 1)
        return page_by_id(found, limit, _PAGES)

    @operation(Permission.ACCOUNT_MANAGE, read_only=True)
    async def find(self, tx: Transaction, email: str) -> Account | None:
        """Look up the account of an address."""
        return await repository.find_account(tx, canonical(email))

    @operation(Permission.ACCOUNT_MANAGE, read_only=True)
    async def get(self, tx: Transaction, account_id: AccountId) -> Account:
        """Read an account; raises :class:`NotFound`."""
        return await repository.fetch_account(tx, account_id)
