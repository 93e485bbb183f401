"""All SQL about sign-ins that wait for a factor, and about attempts at it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from agentmem.features.identity.accounts.tables import accounts
from agentmem.features.identity.factors.model import MOST_FAILURES, Challenge
from agentmem.features.identity.factors.tables import factor_codes, factor_failures, sign_in_challenges
from agentmem.foundation.database.system import SystemTransaction
from agentmem.kit.ids import AccountId, OrganizationId
from agentmem.schemas.access import Role
from agentmem.schemas.factors import SENT, FactorKind

CHALLENGES: Final = sign_in_challenges
CHALLENGE_LIFE: Final = timedelta(minutes=10)


async def insert_challenge(
    tx: SystemTransaction, organization_id: OrganizationId, digest: bytes, challenge: Challenge
) -> None:
    """Write a challenge, and remove those of the account whose time is over."""
    over = (tx.own(CHALLENGES), CHALLENGES.c.account_id == challenge.account_id, CHALLENGES.c.expires_at <= tx.now)
    await tx.execute(delete(CHALLENGES).where(*over))
    row = {
        "organization_id": organization_id,
        "challenge_digest": digest,
        "account_id": challenge.account_id,
        "acting_in": challenge.acting_in,
        "role": challenge.role.value,
        "amr": list(challenge.amr),
        "created_at": tx.now,
        "expires_at": tx.now + CHALLENGE_LIFE,
    }
    await tx.execute(insert(CHALLENGES), row)


async def fetch_challenge(tx: SystemTransaction, digest: bytes) -> Challenge | None:
    """Read a challenge whose time is not over, of an account that is not disabled and had not to begin anew."""
    statement = (
        select(CHALLENGES)
        .join(accounts, accounts.c.account_id == CHALLENGES.c.account_id)
        .where(tx.own(CHALLENGES), tx.own(accounts), CHALLENGES.c.challenge_digest == digest)
        .where(CHALLENGES.c.expires_at > tx.now, accounts.c.disabled_at.is_(None))
        .where(accounts.c.valid_after <= CHALLENGES.c.created_at)
    )
    row = (await tx.execute(statement)).first()
    if row is None:
        return None
    return Challenge(
        account_id=AccountId(row.account_id),
        acting_in=OrganizationId(row.acting_in),
        role=Role(row.role),
        amr=tuple(row.amr),
    )


async def remove_challenge(tx: SystemTransaction, digest: bytes) -> bool:
    """Remove a challenge, and say whether it was there."""
    statement = delete(CHALLENGES).where(tx.own(CHALLENGES), CHALLENGES.c.challenge_digest == digest)
    return (await tx.execute(statement.returning(CHALLENGES.c.account_id))).first() is not None


async def count_attempt(
    tx: SystemTransaction, organization_id: OrganizationId, account_id: AccountId, kind: FactorKind
) -> bool:
    """Count an attempt, and say whether it may be made; whoever counts at once waits for the others."""
    failures = factor_failures.c.failures
    row = {"organization_id": organization_id, "account_id": account_id, "failures": 1}
    counted = upsert(factor_failures).on_conflict_do_update(
        index_elements=[factor_failures.c.organization_id, factor_failures.c.account_id],
        set_={"failures": failures + 1},
        where=failures < MOST_FAILURES,
    )
    if (await tx.execute(counted.returning(failures), row)).first() is None:
        return False
    return kind not in SENT or await _count_try(tx, account_id, kind)


async def _count_try(tx: SystemTransaction, account_id: AccountId, kind: FactorKind) -> bool:
    tried = (
        update(factor_codes)
        .where(tx.own(factor_codes), factor_codes.c.account_id == account_id, factor_codes.c.kind == kind.value)
        .where(factor_codes.c.tries_left > 0)
        .values(tries_left=factor_codes.c.tries_left - 1)
        .returning(factor_codes.c.tries_left)
    )
    return (await tx.execute(tried)).first() is not None
