"""Operations by which people who have not signed in act on accounts: with secrets that only their mailbox has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from agentmem.errors import NotFound
from agentmem.features.identity.accounts import guesses, mail_rows, repository
from agentmem.features.identity.accounts.addresses import canonical
from agentmem.features.identity.accounts.model import PREFIX, Letter, MailPurpose
from agentmem.features.identity.accounts.work import MAIL
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.jobs.queue import enqueue
from agentmem.kit.ids import AccountId, uuid7
from agentmem.kit.secret_text import new_secret_text
from agentmem.operations import operation
from agentmem.schemas.accounts import Account, NewAccount


@dataclass(frozen=True, kw_only=True)
class SelfService:
    """Operations on accounts by the secrets of mails; the caller is the platform itself."""

    database: Database

    @operation(Permission.ACCOUNT_MANAGE, audit="account.mail_requested")
    async def request(self, tx: Transaction, purpose: MailPurpose, email: str) -> UUID:
        """Have a mail sent, and give its id; the same is done and written whether the address has an account or not."""
        address, mail_id = canonical(email), uuid7()
        account = await repository.find_account(tx, address)
        await mail_rows.insert_mail(tx, mail_id, purpose, address, None if account is None else AccountId(account.id))
        tx.touch([mail_id])
        await enqueue(tx, MAIL, {"mail_id": str(mail_id)})
        return mail_id

    @operation(Permission.ACCOUNT_MANAGE, audit="account.mail_prepared")
    async def prepare(self, tx: Transaction, letter: Letter) -> Letter:
        """Make the secret of a mail that is about to be sent."""
        secret = new_secret_text(PREFIX, [letter.mail_id])
        await mail_rows.keep_code(tx, letter.mail_id, secret)
        tx.touch([letter.mail_id])
        return replace(letter, secret=secret)

    @operation(Permission.ACCOUNT_MANAGE, read_only=True)
    async def find(self, tx: Transaction, mail_id: UUID) -> Letter | None:
        """Read a mail that can still be sent."""
        return await mail_rows.find_mail(tx, mail_id)

    @operation(Permission.ACCOUNT_MANAGE, read_only=True)
    async def read(self, tx: Transaction, secret: str, purpose: MailPurpose) -> Letter:
        """Give the mail whose secret this is; raises :class:`NotFound` for one that does not work."""
        return await mail_rows.read_letter(tx, secret, purpose)

    @operation(Permission.ACCOUNT_MANAGE, audit="account.created")
    async def register(self, tx: Transaction, secret: str, name: str, hashed: str) -> Account:
        """Make the account of whoever has the secret; raises :class:`Conflict` if its address has one."""
        letter = await mail_rows.use_letter(tx, secret, MailPurpose.REGISTER)
        account_id = AccountId(uuid7())
        tx.touch([account_id])
        new = NewAccount(email=letter.email, name=name)
        account = await repository.insert_account(tx, account_id, new, verified=True)
        await repository.add_password(tx, account_id, hashed, kept=0)
        await guesses.forgive_guesses(tx, tx.keys.index.identifier_mac(letter.email))
        return account

    @operation(Permission.ACCOUNT_MANAGE, audit="account.password_reset")
    async def reset(self, tx: Transaction, secret: str, hashed: str, kept: int) -> Account:
        """Give the account of whoever has the secret another password, and end all that it has signed in to.

        Its other factors stay. A disabled account stays disabled.
        """
        letter = await mail_rows.use_letter(tx, secret, MailPurpose.RESET)
        account = await repository.fetch_account(tx, _account_of(letter), lock=True)
        tx.touch([account.id])
        verified_at = account.verified_at or tx.now
        return await repository.give_password(tx, account, hashed, kept=kept, values={"verified_at": verified_at})

    @operation(Permission.ACCOUNT_MANAGE, audit="account.unlocked")
    async def unlock(self, tx: Transaction, secret: str) -> None:
        """End the delays of the account of whoever has the secret; what counts towards the hard cap stays."""
        letter = await mail_rows.use_letter(tx, secret, MailPurpose.UNLOCK)
        tx.touch([_account_of(letter)])
        await guesses.lift_delays(tx, tx.keys.index.identifier_mac(letter.email))


def _account_of(letter: Letter) -> AccountId:
    if letter.account_id is None:
        raise NotFound("The address has no account.")
    return letter.account_id
