"""All SQL about codes: of authenticator apps, written down, or sent; passkeys have a module beside this one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from sqlalchemy import Table, delete, func, insert, select, true, update
from sqlalchemy.dialects.postgresql import insert as upsert

from agentmem.errors import Conflict
from agentmem.features.identity.factors.tables import (
    factor_codes,
    factor_failures,
    passkeys,
    recovery_codes,
    totp_factors,
)
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.encryption.seal import Location
from agentmem.kit.ids import AccountId
from agentmem.schemas.factors import FactorKind

TOTP: Final = totp_factors
CODES: Final = factor_codes
_SEALED_VERSION: Final = 1
"""What is sealed here is never changed, only made anew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeTerms:
    """A code that is sent: its keyed hash, for how long it is good, and how often it may be tried."""

    mac: bytes = field(repr=False)
    life: timedelta
    tries: int


async def hold_factors(tx: Transaction, account_id: AccountId) -> None:
    """Let one transaction at a time add and remove factors of an account."""
    text = f"factors of {account_id}"
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(text, 0))))


async def put_secret(tx: Transaction, account_id: AccountId, secret: str) -> None:
    """Keep a secret that is not confirmed yet, in place of such a one; raises :class:`Conflict` beside a confirmed."""
    sealed = tx.keys.keyring.seal(_place(TOTP, account_id), secret.encode())
    row = {
        "organization_id": tx.organization_id,
        "account_id": account_id,
        "sealed": sealed,
        "last_step": 0,
        "created_at": tx.now,
    }
    statement = upsert(TOTP).on_conflict_do_update(
        index_elements=[TOTP.c.organization_id, TOTP.c.account_id],
        set_={"sealed": sealed, "created_at": tx.now},
        where=TOTP.c.confirmed_at.is_(None),
    )
    if (await tx.execute(statement.returning(TOTP.c.account_id), row)).first() is None:
        raise Conflict("The account has an authenticator app.", hint="Remove it first.")


async def fetch_secret(tx: Transaction, account_id: AccountId, *, confirmed: bool) -> str | None:
    """Read the secret of an authenticator app, and hold it until the end."""
    state = TOTP.c.confirmed_at.is_not(None) if confirmed else TOTP.c.confirmed_at.is_(None)
    statement = select(TOTP.c.sealed).where(tx.own(TOTP), TOTP.c.account_id == account_id, state)
    sealed = (await tx.execute(statement.with_for_update())).scalar_one_or_none()
    if sealed is None:
        return None
    return (await tx.ring.opened(_place(TOTP, account_id), sealed)).decode()


async def confirm_secret(tx: Transaction, account_id: AccountId, step: int) -> None:
    """Let a secret work from here on, for codes after this step."""
    statement = update(TOTP).where(tx.own(TOTP), TOTP.c.account_id == account_id)
    await tx.execute(statement.values(confirmed_at=tx.now, last_step=step))


async def accept_step(tx: Transaction, account_id: AccountId, step: int) -> bool:
    """Take a step's code, and say whether it was the first of that step or a later one: at most one call is told so."""
    statement = (
        update(TOTP)
        .where(tx.own(TOTP), TOTP.c.account_id == account_id, TOTP.c.last_step < step)
        .values(last_step=step)
        .returning(TOTP.c.last_step)
    )
    return (await tx.execute(statement)).first() is not None


async def replace_recovery_codes(tx: Transaction, account_id: AccountId, macs: Iterable[bytes]) -> None:
    """Keep new recovery codes in place of all others."""
    await tx.execute(delete(recovery_codes).where(tx.own(recovery_codes), recovery_codes.c.account_id == account_id))
    own = {"organization_id": tx.organization_id, "account_id": account_id}
    await tx.execute(insert(recovery_codes), [{**own, "code_mac": mac} for mac in macs])


async def take_recovery_code(tx: Transaction, account_id: AccountId, mac: bytes) -> bool:
    """Use a recovery code up, and say whether it was there: one call is told so."""
    statement = delete(recovery_codes).where(
        tx.own(recovery_codes), recovery_codes.c.account_id == account_id, recovery_codes.c.code_mac == mac
    )
    return (await tx.execute(statement.returning(recovery_codes.c.account_id))).first() is not None


async def count_recovery_codes(tx: Transaction, account_id: AccountId) -> int:
    """Count the recovery codes that are left."""
    statement = (
        select(func.count())
        .select_from(recovery_codes)
        .where(tx.own(recovery_codes), recovery_codes.c.account_id == account_id)
    )
    return int((await tx.execute(statement)).scalar_one())


async def fetch_kinds(tx: Transaction, account_id: AccountId) -> frozenset[FactorKind]:
    """Read the kinds of factors that an account has, of those that work."""
    found = {FactorKind.RECOVERY_CODE} if await count_recovery_codes(tx, account_id) else set[FactorKind]()
    app = select(TOTP.c.account_id).where(
        tx.own(TOTP), TOTP.c.account_id == account_id, TOTP.c.confirmed_at.is_not(None)
    )
    key = select(passkeys.c.account_id).where(tx.own(passkeys), passkeys.c.account_id == account_id).limit(1)
    if (await tx.execute(app)).first() is not None:
        found.add(FactorKind.TOTP)
    if (await tx.execute(key)).first() is not None:
        found.add(FactorKind.PASSKEY)
    sent = select(CODES.c.kind).where(
        tx.own(CODES), CODES.c.account_id == account_id, CODES.c.confirmed_at.is_not(None)
    )
    found.update(map(FactorKind, (await tx.execute(sent)).scalars()))
    return frozenset(found)


async def remove_kind(tx: Transaction, account_id: AccountId, kind: FactorKind) -> bool:
    """Remove all factors of a kind, and say whether there was one."""
    table = _TABLES.get(kind, CODES)
    statement = delete(table).where(tx.own(table), table.c.account_id == account_id)
    of_kind = CODES.c.kind == kind.value if table is CODES else true()
    return bool((await tx.execute(statement.where(of_kind))).rowcount)


async def clear_failures(tx: Transaction, account_id: AccountId) -> None:
    """Count wrong codes from nothing again."""
    statement = delete(factor_failures).where(tx.own(factor_failures), factor_failures.c.account_id == account_id)
    await tx.execute(statement)


async def put_receiver(tx: Transaction, account_id: AccountId, kind: FactorKind, receiver: str) -> None:
    """Keep where codes are sent, not confirmed yet; raises :class:`Conflict` beside a confirmed one."""
    sealed = tx.keys.keyring.seal(_place(CODES, account_id), receiver.encode())
    row = {
        "organization_id": tx.organization_id,
        "account_id": account_id,
        "kind": kind.value,
        "sealed": sealed,
        "created_at": tx.now,
        "tries_left": 0,
    }
    statement = upsert(CODES).on_conflict_do_update(
        index_elements=[CODES.c.organization_id, CODES.c.account_id, CODES.c.kind],
        set_={"sealed": sealed, "created_at": tx.now, "code_mac": None, "expires_at": None, "tries_left": 0},
        where=CODES.c.confirmed_at.is_(None),
    )
    if (await tx.execute(statement.returning(CODES.c.account_id), row)).first() is None:
        raise Conflict(f"Codes are sent to the account by {kind.value} already.", hint="Remove that factor first.")


async def put_sent_code(tx: Transaction, account_id: AccountId, kind: FactorKind, terms: CodeTerms) -> str | None:
    """Keep a code that is being sent, in place of the one before, and give where to; ``None`` if to nowhere."""
    statement = update(CODES).where(tx.own(CODES), CODES.c.account_id == account_id, CODES.c.kind == kind.value)
    values = {"code_mac": terms.mac, "expires_at": tx.now + terms.life, "tries_left": terms.tries}
    sealed = (await tx.execute(statement.values(**values).returning(CODES.c.sealed))).scalar_one_or_none()
    if sealed is None:
        return None
    return (await tx.ring.opened(_place(CODES, account_id), sealed)).decode()


async def take_sent_code(tx: Transaction, account_id: AccountId, kind: FactorKind, mac: bytes) -> bool:
    """Use the code up that was sent last, which confirms where it went, and say whether it is this one."""
    statement = (
        update(CODES)
        .where(tx.own(CODES), CODES.c.account_id == account_id, CODES.c.kind == kind.value)
        .where(CODES.c.code_mac == mac, CODES.c.expires_at > tx.now)
        .values(code_mac=None, expires_at=None, tries_left=0, confirmed_at=func.coalesce(CODES.c.confirmed_at, tx.now))
        .returning(CODES.c.account_id)
    )
    return (await tx.execute(statement)).first() is not None


def _place(table: Table, account_id: AccountId) -> Location:
    return Location(table=table.name, column="sealed", row_id=account_id, row_version=_SEALED_VERSION)


_TABLES: Final = {
    FactorKind.TOTP: totp_factors,
    FactorKind.PASSKEY: passkeys,
    FactorKind.RECOVERY_CODE: recovery_codes,
}
