"""All SQL about accounts and their passwords; guesses at them have a module beside this one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from agentmem.errors import Conflict, NotFound
from agentmem.features.identity.accounts import guesses, mail_rows
from agentmem.features.identity.accounts.model import StoredPassword
from agentmem.features.identity.accounts.tables import account_passwords, accounts
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.encryption.seal import Location
from agentmem.kit.ids import AccountId
from agentmem.schemas.accounts import Account, NewAccount

PASSWORDS: Final = account_passwords


async def insert_account(tx: Transaction, account_id: AccountId, new: NewAccount, *, verified: bool) -> Account:
    """Write an account; raises :class:`Conflict` if its address has one."""
    row = {
        "organization_id": tx.organization_id,
        "account_id": account_id,
        "email_mac": tx.keys.index.identifier_mac(new.email),
        "sealed": _seal(tx, account_id, 1, new.email, new.name),
        "created_by": tx.caller.principal_id,
        "created_at": tx.now,
        "verified_at": tx.now if verified else None,
        "valid_after": tx.now,
        "version": 1,
    }
    try:
        await tx.execute(insert(accounts), row)
    except IntegrityError:
        raise Conflict("The address has an account already.") from None
    return await fetch_account(tx, account_id)


async def find_account(tx: Transaction, email: str) -> Account | None:
    """Look an account up by its address in canonical form."""
    mac = tx.keys.index.identifier_mac(email)
    row = (await tx.execute(select(accounts).where(tx.own(accounts), accounts.c.email_mac == mac))).first()
    return None if row is None else await _to_account(tx, row)


async def fetch_account(tx: Transaction, account_id: AccountId, *, lock: bool = False) -> Account:
    """Read an account, or raise :class:`NotFound`; with a lock it stays so until the end."""
    statement = select(accounts).where(tx.own(accounts), accounts.c.account_id == account_id)
    row = (await tx.execute(statement.with_for_update() if lock else statement)).first()
    if row is None:
        raise NotFound(f"There is no account {account_id}.")
    return await _to_account(tx, row)


async def fetch_page(tx: Transaction, after: UUID | None, limit: int) -> list[Account]:
    """Read up to ``limit`` accounts, the oldest first."""
    statement = select(accounts).where(tx.own(accounts))
    if after is not None:
        statement = statement.where(accounts.c.account_id > after)
    rows = await tx.execute(statement.order_by(accounts.c.account_id).limit(limit))
    return [await _to_account(tx, row) for row in rows]


async def change_account(tx: Transaction, found: Account, values: Mapping[str, object]) -> Account:
    """Change an account, which is held, and count its version up."""
    account_id, version = AccountId(found.id), found.version + 1
    statement = update(accounts).where(tx.own(accounts), accounts.c.account_id == account_id)
    sealed = _seal(tx, account_id, version, found.email, found.name)
    await tx.execute(statement.values(**values, sealed=sealed, version=version))
    return await fetch_account(tx, account_id)


async def remove_account(tx: Transaction, account_id: AccountId) -> None:
    """Remove an account with its passwords and mails."""
    await tx.execute(delete(accounts).where(tx.own(accounts), accounts.c.account_id == account_id))


async def fetch_passwords(tx: Transaction, account_id: AccountId, limit: int) -> list[StoredPassword]:
    """Read the last passwords of an account, the present one first."""
    of_account = tx.own(PASSWORDS), PASSWORDS.c.account_id == account_id
    statement = select(PASSWORDS).where(*of_account).order_by(PASSWORDS.c.number.desc()).limit(limit)
    return [await _to_password(tx, row) for row in await tx.execute(statement)]


async def add_password(tx: Transaction, account_id: AccountId, hashed: str, *, kept: int) -> None:
    """Make this an account's password, and forget those before it but for the last ``kept``."""
    of_account = tx.own(PASSWORDS), PASSWORDS.c.account_id == account_id
    last = (await tx.execute(select(func.coalesce(func.max(PASSWORDS.c.number), 0)).where(*of_account))).scalar_one()
    row = {
        "organization_id": tx.organization_id,
        "account_id": account_id,
        "number": last + 1,
        "sealed": _seal_hash(tx, account_id, last + 1, hashed),
        "set_at": tx.now,
    }
    await tx.execute(insert(PASSWORDS), row)
    await tx.execute(delete(PASSWORDS).where(*of_account, PASSWORDS.c.number <= last - kept))


async def give_password(
    tx: Transaction, account: Account, hashed: str, *, kept: int, values: Mapping[str, object]
) -> Account:
    """Give an account, which is held, another password: all that came before it ends, guesses and mails included."""
    account_id = AccountId(account.id)
    changed = await change_account(tx, account, {**values, "valid_after": tx.now})
    await add_password(tx, account_id, hashed, kept=kept)
    await guesses.forgive_guesses(tx, tx.keys.index.identifier_mac(account.email))
    await mail_rows.drop_mails(tx, account_id)
    return changed


async def replace_hash(tx: Transaction, account_id: AccountId, number: int, hashed: str) -> None:
    """Write another hash of the same password."""
    statement = update(PASSWORDS).where(
        tx.own(PASSWORDS), PASSWORDS.c.account_id == account_id, PASSWORDS.c.number == number
    )
    await tx.execute(statement.values(sealed=_seal_hash(tx, account_id, number, hashed)))


def _seal(tx: Transaction, account_id: AccountId, version: int, email: str, name: str) -> bytes:
    text = json.dumps([email, name]).encode()
    return tx.keys.keyring.sealer(accounts.name, "sealed")(account_id, version, text)


def _seal_hash(tx: Transaction, account_id: AccountId, number: int, hashed: str) -> bytes:
    # Bound to the account and its place: it opens for no other, nor as another of the same.
    return tx.keys.keyring.seal(_place(account_id, number), hashed.encode())


def _place(account_id: AccountId, number: int) -> Location:
    return Location(table=PASSWORDS.name, column="sealed", row_id=account_id, row_version=number)


async def _to_password(tx: Transaction, row: Row[Any]) -> StoredPassword:
    hashed = (await tx.ring.opened(_place(row.account_id, row.number), row.sealed)).decode()
    return StoredPassword(number=row.number, hashed=hashed, set_at=row.set_at)


async def _to_account(tx: Transaction, row: Row[Any]) -> Account:
    place = Location(table=accounts.name, column="sealed", row_id=row.account_id, row_version=row.version)
    email, name = json.loads(await tx.ring.opened(place, row.sealed))
    return Account(
        id=row.account_id,
        email=email,
        name=name,
        created_by=row.created_by,
        created_at=row.created_at,
        verified_at=row.verified_at,
        disabled_at=row.disabled_at,
        valid_after=row.valid_after,
        version=row.version,
    )
