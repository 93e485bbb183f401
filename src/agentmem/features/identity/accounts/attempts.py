"""Operations on guesses at passwords, before it is known who asks."""

from __future__ import annotations

from dataclasses import dataclass

from agentmem.features.identity.accounts import guesses, repository
from agentmem.features.identity.accounts.addresses import canonical
from agentmem.features.identity.accounts.devices import device_token, known_device
from agentmem.features.identity.accounts.model import STRANGER, Attempt, SignedIn
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import AccountId
from agentmem.operations import operation
from agentmem.schemas.policies import LockoutPolicy


@dataclass(frozen=True, kw_only=True)
class AttemptService:
    """Operations on guesses at passwords; the caller is the platform itself."""

    database: Database

    @operation(Permission.ACCOUNT_MANAGE, audit="account.sign_in_tried")
    async def begin(self, tx: Transaction, email: str, device: str | None, policy: LockoutPolicy) -> Attempt:
        """Count a guess before it is verified; it is the same work whether the address has an account or not."""
        account = await repository.find_account(tx, canonical(email))
        account_id = None if account is None else AccountId(account.id)
        if account_id is not None:
            tx.touch([account_id])
        subject = tx.keys.index.identifier_mac(canonical(email))
        known = known_device(tx.keys.index, account_id, device)
        admitted = await guesses.count_guess(tx, subject, known, policy)
        passwords = await repository.fetch_passwords(tx, account_id or AccountId(STRANGER), 1)
        usable = account is not None and account.disabled_at is None
        return Attempt(
            subject=subject,
            device=known,
            admitted=admitted and usable,
            account_id=account_id,
            password=passwords[0] if passwords else None,
        )

    @operation(Permission.ACCOUNT_MANAGE, audit="account.password_accepted")
    async def succeed(self, tx: Transaction, attempt: Attempt, rehashed: str | None) -> SignedIn | None:
        """Forgive the guesses before one that was right; ``None`` if the password is no longer the account's.

        ``rehashed`` is a new hash of it, where the old one has become too cheap.
        """
        if attempt.account_id is None or attempt.password is None:
            return None
        account = await repository.fetch_account(tx, attempt.account_id, lock=True)
        tx.touch([account.id])
        (present,) = await repository.fetch_passwords(tx, attempt.account_id, 1)
        if account.disabled_at is not None or present.number != attempt.password.number:
            return None
        if rehashed is not None:
            await repository.replace_hash(tx, attempt.account_id, present.number, rehashed)
        await guesses.forgive_guesses(tx, attempt.subject, attempt.device)
        known = None if attempt.device == STRANGER else attempt.device
        return SignedIn(
            account_id=attempt.account_id,
            password_set_at=present.set_at,
            device=device_token(tx.keys.index, attempt.account_id, known),
        )
