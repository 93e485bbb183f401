"""Sign-ins that wait for a factor, and the attempts at it, which are counted before they are made."""

from __future__ import annotations

from dataclasses import dataclass

from agentmem.features.identity.factors import challenge_rows
from agentmem.features.identity.factors.model import Challenge
from agentmem.foundation.authorization.platform import platform_id
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.system import SystemPurpose, SystemTransaction
from agentmem.kit.ids import AccountId
from agentmem.operations import system_operation
from agentmem.schemas.factors import FactorKind


@dataclass(frozen=True, kw_only=True)
class ChallengeService:
    """Operations on sign-ins under way: nobody is signed in yet, so they are the system's.

    A challenge is named by the SHA-256 digest of its text, which is 256 random bits and stored nowhere.
    """

    database: Database

    @system_operation(SystemPurpose.AUTHENTICATE)
    async def open(self, tx: SystemTransaction, digest: bytes, challenge: Challenge) -> None:
        """Begin a sign-in that needs more; it lives for ten minutes. The account's old ones go."""
        await tx.bind(platform_id())
        await challenge_rows.insert_challenge(tx, platform_id(), digest, challenge)

    @system_operation(SystemPurpose.AUTHENTICATE, read_only=True)
    async def find(self, tx: SystemTransaction, digest: bytes) -> Challenge | None:
        """Find a sign-in that is under way, of an account that may sign in."""
        await tx.bind(platform_id())
        return await challenge_rows.fetch_challenge(tx, digest)

    @system_operation(SystemPurpose.AUTHENTICATE)
    async def reserve(self, tx: SystemTransaction, account_id: AccountId, kind: FactorKind) -> bool:
        """Count an attempt at a code, before it is made, and say whether it may be.

        It may not after a hundred in a row that were wrong, nor when the code that was sent has been tried five times.
        """
        await tx.bind(platform_id())
        return await challenge_rows.count_attempt(tx, platform_id(), account_id, kind)

    @system_operation(SystemPurpose.AUTHENTICATE)
    async def close(self, tx: SystemTransaction, digest: bytes) -> bool:
        """End a sign-in, and say whether it was still under way: of those who end it at once, one is told so."""
        await tx.bind(platform_id())
        return await challenge_rows.remove_challenge(tx, digest)
