"""Operations on the keys of an organization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from agentmem.features.encryption import repository
from agentmem.features.encryption.jobs import RESEAL
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.resealing import Key, reseal_page, sealed_tables, values_by_key
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.encryption.keyring import WrappedKey
from agentmem.foundation.jobs.queue import enqueue
from agentmem.kit.ids import JobId
from agentmem.operations import operation
from agentmem.schemas.encryption import KeyInventory, KeyState

RESEALED_AT_ONCE: Final = 500
ALL: Final = "all"


@dataclass(frozen=True, kw_only=True)
class EncryptionService:
    """Operations on the keys of the caller's organization."""

    database: Database

    @operation(Permission.ENCRYPTION_READ, read_only=True)
    async def inventory(self, tx: Transaction, active_master_key_id: str) -> KeyInventory:
        """Count what each key protects; reads the head of every sealed value."""
        keys = await repository.fetch_keys(tx)
        own = {key.key_id for key in keys}
        counts = {name: await values_by_key(tx, table) for name, table in sealed_tables().items()}
        wrapping = await self.database.subjects.wrapped_by(tx.organization_id)
        return KeyInventory(
            keys=[
                KeyState(
                    key_id=key.key_id,
                    purpose=key.purpose.value,
                    provider=key.provider,
                    master_key_id=key.provider_key_id,
                    created_at=key.created_at,
                    retired_at=key.retired_at,
                    values={name: found[key.key_id] for name, found in counts.items() if found[key.key_id]},
                    subject_keys=wrapping.get(key.key_id, 0),
                )
                for key in keys
            ],
            subject_keys=sum(wrapping.values()),
            subject_values={
                name: number
                for name, found in counts.items()
                if (number := sum(count for key_id, count in found.items() if key_id not in own))
            },
            active_master_key_id=active_master_key_id,
        )

    @operation(Permission.ENCRYPTION_READ, read_only=True)
    async def wrapped_keys(self, tx: Transaction) -> list[WrappedKey]:
        """Read the organization's keys, wrapped."""
        return await repository.fetch_keys(tx)

    @operation(Permission.ENCRYPTION_ROTATE, audit="encryption.rotated")
    async def rotate(self, tx: Transaction, successor: WrappedKey) -> JobId:
        """Let a new data key seal from now on, and ask for the job that seals anew what the old one has sealed.

        Raises :class:`Conflict` while another rotation is under way.
        """
        await repository.succeed(tx, successor)
        tx.touch([successor.key_id])
        return await enqueue(tx, RESEAL, once=ALL)

    @operation(Permission.ENCRYPTION_ROTATE, audit="encryption.rewrapped")
    async def replace_wrapping(self, tx: Transaction, before: WrappedKey, anew: WrappedKey) -> bool:
        """Keep a key wrapped by another master key, unless somebody was faster."""
        replaced = await repository.replace_wrapping(tx, before, anew)
        tx.touch([before.key_id] if replaced else [])
        return replaced

    @operation(Permission.PLATFORM_MANAGE, audit="encryption.master_key_rotated")
    async def note_master_rotation(self, tx: Transaction) -> None:
        """Write into the audit trail that a new master key is asked for."""

    @operation(Permission.PLATFORM_MANAGE, audit="encryption.master_key_destroyed")
    async def note_master_destruction(self, tx: Transaction) -> None:
        """Write into the audit trail that a master key is to be destroyed."""

    @operation(Permission.MEMORY_MAINTAIN)
    async def reseal(self, tx: Transaction, table: str, after: Key | None) -> tuple[Key | None, int]:
        """Seal anew the next rows of a table; gives where to go on, nowhere at the end, and how many rows changed."""
        retired = await repository.retired_keys(tx)
        return await reseal_page(tx, sealed_tables()[table], retired, after, RESEALED_AT_ONCE)

    @operation(Permission.ENCRYPTION_ROTATE, audit="encryption.key_removed")
    async def remove_unused(self, tx: Transaction) -> list[UUID]:
        """Remove the retired data keys by which nothing is sealed any more."""
        wrapping = await self.database.subjects.wrapped_by(tx.organization_id)
        removed = await repository.remove_unused(tx, list(wrapping))
        tx.touch(removed)
        return removed
