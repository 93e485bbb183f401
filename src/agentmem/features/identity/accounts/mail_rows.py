"""All SQL about mails that carry a secret to a person: the secret's code is kept, and works once."""

from __future__ import annotations

import hmac
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, insert, select, update

from agentmem.errors import NotFound
from agentmem.features.identity.accounts.model import PREFIX, Letter, MailPurpose
from agentmem.features.identity.accounts.tables import account_mails as mails
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.encryption.seal import Location
from agentmem.kit.ids import AccountId
from agentmem.kit.secret_text import ids_of

_ROW_VERSION = 1


async def insert_mail(
    tx: Transaction, mail_id: UUID, purpose: MailPurpose, email: str, account_id: AccountId | None
) -> None:
    """Write a mail that is to be sent, in place of what the account was sent for the same purpose."""
    # Done for nobody too: whether there is an account changes no work.
    await tx.execute(
        delete(mails).where(tx.own(mails), mails.c.account_id == account_id, mails.c.purpose == purpose.value)
    )
    row = {
        "organization_id": tx.organization_id,
        "mail_id": mail_id,
        "purpose": purpose.value,
        "account_id": account_id,
        "sealed": tx.keys.keyring.sealer(mails.name, "sealed")(mail_id, _ROW_VERSION, email.encode()),
        "created_at": tx.now,
        "expires_at": tx.now + timedelta(minutes=purpose.minutes),
    }
    await tx.execute(insert(mails), row)


async def find_mail(tx: Transaction, mail_id: UUID) -> Letter | None:
    """Read a mail that can still be sent."""
    row = (await tx.execute(_of(tx, mail_id).where(mails.c.expires_at > tx.now))).first()
    return None if row is None else await _to_letter(tx, row)


async def keep_code(tx: Transaction, mail_id: UUID, secret: str) -> None:
    """Keep the code of a mail's secret, one that was sent before works no more; raises :class:`NotFound`."""
    statement = update(mails).where(tx.own(mails), mails.c.mail_id == mail_id)
    if (await tx.execute(statement.values(token_mac=tx.keys.index.credential_mac(secret)))).rowcount != 1:
        raise _not_valid()


async def read_letter(tx: Transaction, secret: str, purpose: MailPurpose) -> Letter:
    """Give the mail whose secret this is; raises :class:`NotFound` for one that is unknown, used, late or another's."""
    ids = ids_of(PREFIX, secret, 1)
    row = None if ids is None else (await tx.execute(_of(tx, ids[0]).where(mails.c.expires_at > tx.now))).first()
    code = b"" if row is None or row.token_mac is None else bytes(row.token_mac)
    if row is None or row.purpose != purpose.value:
        raise _not_valid()
    if not hmac.compare_digest(code, tx.keys.index.credential_mac(secret)):
        raise _not_valid()
    return await _to_letter(tx, row)


async def use_letter(tx: Transaction, secret: str, purpose: MailPurpose) -> Letter:
    """Do the same, and let the secret work no more: of two at once one is told :class:`NotFound`."""
    letter = await read_letter(tx, secret, purpose)
    gone = await tx.execute(delete(mails).where(tx.own(mails), mails.c.mail_id == letter.mail_id))
    if gone.rowcount != 1:
        raise _not_valid()
    return letter


async def drop_mails(tx: Transaction, account_id: AccountId) -> None:
    """Let no secret work any more that an account was sent."""
    await tx.execute(delete(mails).where(tx.own(mails), mails.c.account_id == account_id))


async def forget_mails(tx: Transaction) -> int:
    """Forget mails whose time is over, and count them."""
    return (await tx.execute(delete(mails).where(tx.own(mails), mails.c.expires_at < tx.now))).rowcount


def _of(tx: Transaction, mail_id: UUID) -> Any:  # a statement of SQLAlchemy, whose type names its columns
    return select(mails).where(tx.own(mails), mails.c.mail_id == mail_id)


async def _to_letter(tx: Transaction, row: Row[Any]) -> Letter:
    place = Location(table=mails.name, column="sealed", row_id=row.mail_id, row_version=_ROW_VERSION)
    return Letter(
        mail_id=row.mail_id,
        purpose=MailPurpose(row.purpose),
        email=(await tx.ring.opened(place, row.sealed)).decode(),
        account_id=row.account_id,
    )


def _not_valid() -> NotFound:
    return NotFound("The secret is not valid: unknown, used already, or too old.", hint="Ask for another mail.")
