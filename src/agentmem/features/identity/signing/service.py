"""Operations on the keys that sign access tokens; the rows are the platform's organization's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from agentmem.features.identity.signing import repository
from agentmem.features.identity.signing.model import PUBLISHED_AHEAD, KnownKey, end_of, is_due, signing_at
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.authorization.platform import platform_id
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.system import SystemPurpose, SystemTransaction
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.tokens.keys import PrivateKey, new_private_key
from agentmem.operations import operation, system_operation
from agentmem.schemas.sessions import SigningKey


@dataclass(frozen=True, kw_only=True)
class SigningKeyService:
    """Operations on the keys that sign access tokens."""

    database: Database

    @operation(Permission.ACCOUNT_MANAGE, read_only=True)
    async def every(self, tx: Transaction) -> list[SigningKey]:
        """Read the keys that check now, or will, without their secrets."""
        return await repository.fetch_views(tx)

    @operation(Permission.ACCOUNT_MANAGE, audit="signing_key.rotated")
    async def rotate(self, tx: Transaction, *, at_once: bool) -> list[SigningKey]:
        """Make the next key, which signs once it has been published for an hour, and give all that check.

        ``at_once`` is for a key that somebody else may have: the new one signs now, and no other checks any more, so
        that everybody's next request refreshes its access token.
        """
        await repository.hold_keys(tx)
        await _rotate(tx, at_once=at_once)
        return await repository.fetch_views(tx)

    @operation(Permission.ACCOUNT_MANAGE, read_only=True)
    async def due(self, tx: Transaction, lasts: timedelta) -> bool:
        """Tell whether it is time for the next key, one signing for so long."""
        return is_due(await repository.fetch_times(tx), tx.now, lasts)

    @operation(Permission.ACCOUNT_MANAGE, audit="signing_key.rotated")
    async def rotate_due(self, tx: Transaction, lasts: timedelta) -> None:
        """Make the next key if it is still time, and remove those that check nothing any more."""
        await repository.hold_keys(tx)
        await repository.forget_over(tx)
        if is_due(await repository.fetch_times(tx), tx.now, lasts):
            await _rotate(tx, at_once=False)

    @operation(Permission.ACCOUNT_MANAGE, read_only=True)
    async def signing(self, tx: Transaction) -> PrivateKey | None:
        """Read the key that signs now, whole; ``None`` before the first was made."""
        chosen = signing_at(await repository.fetch_times(tx), tx.now)
        return None if chosen is None else await repository.fetch_private(tx, chosen.key_id)

    @operation(Permission.ACCOUNT_MANAGE, audit="signing_key.created")
    async def ensure(self, tx: Transaction) -> None:
        """Make the first key, which signs at once: nobody can have kept a list without it."""
        await repository.hold_keys(tx)
        if signing_at(await repository.fetch_times(tx), tx.now) is None:
            await _rotate(tx, at_once=True)

    @system_operation(SystemPurpose.AUTHENTICATE, read_only=True)
    async def published(self, tx: SystemTransaction) -> list[KnownKey]:
        """Read the public halves of all keys that check now, or will."""
        await tx.bind(platform_id())
        return await repository.fetch_known(tx)


async def _rotate(tx: Transaction, *, at_once: bool) -> None:
    signs_from = tx.now if at_once else tx.now + PUBLISHED_AHEAD
    key_id = await repository.insert_key(tx, new_private_key(), signs_from)
    ended = await repository.end_keys(tx, key_id, tx.now if at_once else end_of(signs_from))
    tx.touch([key_id, *ended])
