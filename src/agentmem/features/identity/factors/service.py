"""Operations on the factors of the caller's own account: to add and remove them, and to prove who one is by them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from agentmem.errors import InvalidInput, NotFound, Unauthenticated
from agentmem.features.identity.accounts.repository import fetch_account
from agentmem.features.identity.factors import passkey_rows, repository
from agentmem.features.identity.factors.model import (
    RECOVERY_CODES,
    Issued,
    account_of,
    new_recovery_code,
    read_recovery_code,
)
from agentmem.features.identity.factors.repository import CodeTerms
from agentmem.features.identity.factors.totp import matching_step, new_secret, provisioning_uri, qr_svg
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import AccountId
from agentmem.operations import operation
from agentmem.schemas.factors import FactorKind, Factors, RecoveryCodes, TotpEnrolment

SENT_CODE_LIFE: Final = timedelta(minutes=10)
SENT_CODE_TRIES: Final = 5


@dataclass(frozen=True, kw_only=True)
class FactorService:
    """Operations on the factors of the account that the caller is."""

    database: Database

    @operation(Permission.ACCOUNT_USE, read_only=True)
    async def get(self, tx: Transaction) -> Factors:
        """Read what the account has."""
        return await _view(tx, account_of(tx.caller))

    @operation(Permission.ACCOUNT_USE, read_only=True)
    async def kinds(self, tx: Transaction) -> frozenset[FactorKind]:
        """Read the kinds of factors that the account has, of those that work."""
        return await repository.fetch_kinds(tx, account_of(tx.caller))

    @operation(Permission.ACCOUNT_USE, audit="factor.enrolled")
    async def enrol_totp(self, tx: Transaction) -> TotpEnrolment:
        """Make a secret for an authenticator app, which works once a code of it confirms it.

        Raises :class:`Conflict` if the account has such an app.
        """
        account_id = account_of(tx.caller)
        account, secret = await fetch_account(tx, account_id), new_secret()
        await repository.hold_factors(tx, account_id)
        await repository.put_secret(tx, account_id, secret)
        tx.touch([account_id])
        uri = provisioning_uri(secret, account.email)
        return TotpEnrolment(secret=secret, uri=uri, qr_svg=qr_svg(uri))

    @operation(Permission.ACCOUNT_USE, audit="factor.added")
    async def confirm_totp(self, tx: Transaction, code: str) -> Factors:
        """Let the new authenticator app work; its code is used up by that.

        Raises :class:`NotFound` if none waits for it, :class:`InvalidInput` for a code that is not of it.
        """
        account_id = account_of(tx.caller)
        secret = await repository.fetch_secret(tx, account_id, confirmed=False)
        if secret is None:
            raise NotFound("No authenticator app waits for its confirmation.", hint="Enrol one first.")
        step = matching_step(secret, code, tx.now)
        if step is None:
            raise InvalidInput(
                "This is not the app's code of now.", hint="Check the clock of its device, and take the next code."
            )
        await repository.confirm_secret(tx, account_id, step)
        tx.touch([account_id])
        return await _view(tx, account_id)

    @operation(Permission.ACCOUNT_USE, audit="factor.verified")
    async def verify_totp(self, tx: Transaction, code: str) -> None:
        """Take a code of the account's app, each step once; raises :class:`Unauthenticated` for any other.

        The attempt was reserved before, as those of all kinds of codes.
        """
        account_id = account_of(tx.caller)
        tx.touch([account_id])
        secret = await repository.fetch_secret(tx, account_id, confirmed=True)
        step = None if secret is None else matching_step(secret, code, tx.now)
        if step is None or not await repository.accept_step(tx, account_id, step):
            raise refused()
        await repository.clear_failures(tx, account_id)

    @operation(Permission.ACCOUNT_USE, audit="factor.verified")
    async def verify_recovery_code(self, tx: Transaction, text: str) -> None:
        """Use up a recovery code; raises :class:`Unauthenticated` for what is none, or is none any more."""
        account_id = account_of(tx.caller)
        tx.touch([account_id])
        code = read_recovery_code(text)
        if code is None or not await repository.take_recovery_code(tx, account_id, _mac(tx, account_id, code)):
            raise refused()
        await repository.clear_failures(tx, account_id)

    @operation(Permission.ACCOUNT_USE, audit="factor.codes_made")
    async def make_recovery_codes(self, tx: Transaction) -> RecoveryCodes:
        """Make ten recovery codes, shown this once; all that were made before work no more."""
        account_id = account_of(tx.caller)
        await fetch_account(tx, account_id)
        codes = [new_recovery_code() for _ in range(RECOVERY_CODES)]
        await repository.hold_factors(tx, account_id)
        await repository.replace_recovery_codes(
            tx, account_id, [_mac(tx, account_id, read_recovery_code(code) or "") for code in codes]
        )
        tx.touch([account_id])
        return RecoveryCodes(codes=codes)

    @operation(Permission.ACCOUNT_USE, audit="factor.enrolled")
    async def enrol_receiver(self, tx: Transaction, kind: FactorKind, receiver: str | None) -> None:
        """Have codes sent somewhere, which works once such a code confirms it; mail goes to the account's address.

        Raises :class:`Conflict` if codes of this kind are sent already, :class:`InvalidInput` without a receiver.
        """
        account_id = account_of(tx.caller)
        account = await fetch_account(tx, account_id)
        if kind is FactorKind.EMAIL:
            receiver = account.email
        if receiver is None:
            raise InvalidInput("Input is not valid: receiver: a telephone number is needed.")
        await repository.put_receiver(tx, account_id, kind, receiver)
        tx.touch([account_id])

    @operation(Permission.ACCOUNT_USE, audit="factor.code_sent")
    async def issue_code(self, tx: Transaction, kind: FactorKind) -> Issued:
        """Make a code to be sent, good for ten minutes and five tries, in place of the one before.

        Raises :class:`NotFound` if the account has nowhere to send it.
        """
        account_id = account_of(tx.caller)
        code = f"{secrets.randbelow(1_000_000):06d}"
        terms = CodeTerms(mac=_mac(tx, account_id, code), life=SENT_CODE_LIFE, tries=SENT_CODE_TRIES)
        receiver = await repository.put_sent_code(tx, account_id, kind, terms)
        if receiver is None:
            raise NotFound(f"No codes are sent to the account by {kind.value}.")
        tx.touch([account_id])
        return Issued(receiver=receiver, code=code)

    @operation(Permission.ACCOUNT_USE, audit="factor.verified")
    async def verify_sent_code(self, tx: Transaction, kind: FactorKind, code: str) -> None:
        """Use up the code that was sent last; raises :class:`Unauthenticated` for any other.

        The first right one confirms where codes are sent.
        """
        account_id = account_of(tx.caller)
        tx.touch([account_id])
        if not await repository.take_sent_code(tx, account_id, kind, _mac(tx, account_id, code)):
            raise refused()
        await repository.clear_failures(tx, account_id)

    @operation(Permission.ACCOUNT_USE, audit="factor.removed")
    async def remove(self, tx: Transaction, kind: FactorKind) -> Factors:
        """Remove all factors of a kind; raises :class:`NotFound` if there is none."""
        account_id = account_of(tx.caller)
        await repository.hold_factors(tx, account_id)
        if not await repository.remove_kind(tx, account_id, kind):
            raise NotFound(f"The account has no factor of the kind {kind.value}.")
        tx.touch([account_id])
        return await _view(tx, account_id)

    @operation(Permission.ACCOUNT_MANAGE, read_only=True)
    async def of_account(self, tx: Transaction, account_id: AccountId) -> Factors:
        """Read what an account has; raises :class:`NotFound`."""
        await fetch_account(tx, account_id)
        return await _view(tx, account_id)

    @operation(Permission.ACCOUNT_MANAGE, audit="factor.reset")
    async def reset(self, tx: Transaction, account_id: AccountId, kind: FactorKind | None = None) -> None:
        """Remove the factors of an account, all or those of a kind, for a person who lost them; counts start anew.

        The password stays, and so does every factor of another kind: both are asked for at the next sign-in. Raises
        :class:`NotFound`.
        """
        await fetch_account(tx, account_id)
        await repository.hold_factors(tx, account_id)
        for each in FactorKind if kind is None else (kind,):
            await repository.remove_kind(tx, account_id, each)
        await repository.clear_failures(tx, account_id)
        tx.touch([account_id])


def refused() -> Unauthenticated:
    """Make the one answer to every code that is not accepted."""
    return Unauthenticated("The code was not accepted.", hint="Take the next code, or another factor of the account.")


async def _view(tx: Transaction, account_id: AccountId) -> Factors:
    kinds = await repository.fetch_kinds(tx, account_id)
    return Factors(
        totp=FactorKind.TOTP in kinds,
        passkeys=await passkey_rows.fetch_views(tx, account_id),
        email=FactorKind.EMAIL in kinds,
        sms=FactorKind.SMS in kinds,
        recovery_codes_left=await repository.count_recovery_codes(tx, account_id),
    )


def _mac(tx: Transaction, account_id: AccountId, code: str) -> bytes:
    return tx.keys.index.credential_mac(f"{account_id} {code}")
