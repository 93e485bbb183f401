"""Operations on accounts, by operators of the platform and by the platform itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from agentmem.errors import NotFound
from agentmem.features.identity.accounts import guesses, mail_rows, repository
from agentmem.features.identity.accounts.addresses import canonical
from agentmem.features.identity.accounts.model import StoredPassword
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import AccountId, uuid7
from agentmem.kit.paging import decode_id, query_fingerprint
from agentmem.kit.versions import require_version
from agentmem.operations import operation
from agentmem.schemas.accounts import Account, NewAccount
from agentmem.schemas.memories import Page, page_by_id

_PAGES: Final = query_fingerprint("accounts")
FORGOTTEN_AFTER: Final = timedelta(days=30)


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

    @operation(Permission.ACCOUNT_MANAGE, audit="account.disabled")
    async def disable(self, tx: Transaction, account_id: AccountId, if_version: int | None = None) -> Account:
        """Let an account sign in no more, and end all that it has signed in to; doing it again changes nothing."""
        account = await _held(tx, account_id, if_version)
        if account.disabled_at is not None:
            return account
        return await repository.change_account(tx, account, {"disabled_at": tx.now, "valid_after": tx.now})

    @operation(Permission.ACCOUNT_MANAGE, audit="account.enabled")
    async def enable(self, tx: Transaction, account_id: AccountId, if_version: int | None = None) -> Account:
        """Let a disabled account sign in again."""
        return await repository.change_account(tx, await _held(tx, account_id, if_version), {"disabled_at": None})

    @operation(Permission.ACCOUNT_MANAGE, audit="account.unlocked")
    async def unlock(self, tx: Transaction, account_id: AccountId) -> Account:
        """Forgive all guesses at an account's password, so that a password that they had ended works again."""
        account = await _held(tx, account_id, None)
        await guesses.forgive_guesses(tx, tx.keys.index.identifier_mac(account.email))
        return account

    @operation(Permission.ACCOUNT_MANAGE, audit="account.deleted")
    async def delete(self, tx: Transaction, account_id: AccountId, if_version: int | None = None) -> None:
        """Remove an account with all that it proves itself with."""
        account = await _held(tx, account_id, if_version)
        await _forget(tx, account)

    @operation(Permission.ACCOUNT_USE, read_only=True)
    async def own(self, tx: Transaction) -> Account:
        """Read the caller's own account."""
        return await repository.fetch_account(tx, _own(tx))

    @operation(Permission.ACCOUNT_USE, audit="account.renamed")
    async def rename(self, tx: Transaction, name: str, if_version: int | None = None) -> Account:
        """Change the name of the caller's own account."""
        account = await _held(tx, _own(tx), if_version)
        return await repository.change_account(tx, account.model_copy(update={"name": name}), {})

    @operation(Permission.ACCOUNT_USE, audit="account.password_changed")
    async def change_password(self, tx: Transaction, hashed: str, kept: int) -> Account:
        """Give the caller's own account another password, and end all that it has signed in to."""
        return await repository.give_password(tx, await _held(tx, _own(tx), None), hashed, kept=kept, values={})

    @operation(Permission.ACCOUNT_USE, audit="account.deleted")
    async def leave(self, tx: Transaction, if_version: int | None = None) -> None:
        """Remove the caller's own account."""
        await _forget(tx, await _held(tx, _own(tx), if_version))

    @operation(Permission.ACCOUNT_MANAGE, read_only=True)
    async def last_passwords(self, tx: Transaction, account_id: AccountId, count: int) -> list[StoredPassword]:
        """Read the hashes of an account's last passwords, the present one first."""
        return await repository.fetch_passwords(tx, account_id, count)

    @operation(Permission.MEMORY_MAINTAIN)
    async def forget_traces(self, tx: Transaction) -> int:
        """Forget mails whose time is over, and guesses of long ago at what is no account; give how many they were."""
        return await mail_rows.forget_mails(tx) + await guesses.forget_guesses(tx, tx.now - FORGOTTEN_AFTER)


def _own(tx: Transaction) -> AccountId:
    if tx.caller.account_id is None:
        raise NotFound("The caller has no account.")
    return tx.caller.account_id


async def _held(tx: Transaction, account_id: AccountId, if_version: int | None) -> Account:
    account = await repository.fetch_account(tx, account_id, lock=True)
    tx.touch([account_id])
    require_version(f"The account {account_id}", account.version, if_version)
    return account


async def _forget(tx: Transaction, account: Account) -> None:
    await guesses.forgive_guesses(tx, tx.keys.index.identifier_mac(account.email))
    await repository.remove_account(tx, AccountId(account.id))
