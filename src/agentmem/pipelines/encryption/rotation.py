"""Rotating keys while everything stays readable: master keys by wrapping anew, data keys by sealing anew.

What is to be done is what the tables show: no crash can lose it, and doing it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from agentmem.features.encryption.jobs import RESEAL
from agentmem.features.encryption.service import RESEALED_AT_ONCE, EncryptionService
from agentmem.features.identity.service import ApiKeyService
from agentmem.foundation.authorization.caller import Caller, Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.resealing import sealed_tables
from agentmem.foundation.encryption.keyring import create_key, rewrap_key
from agentmem.foundation.encryption.providers.port import KeyPurpose
from agentmem.foundation.jobs.model import Job, Work
from agentmem.kit.cache import Cache
from agentmem.kit.ids import JobId
from agentmem.schemas.encryption import KeyInventory, MasterKeyRotation

DESCRIBED_SECONDS: Final = 60.0
_MASTER: Final = "master"


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """Rotates the keys of organizations; data keys by themselves once they are older than ``data_key_age``."""

    service: EncryptionService
    api_keys: ApiKeyService
    database: Database
    data_key_age: timedelta | None = None
    _active: Cache[str, str] = field(default_factory=lambda: Cache(capacity=1, seconds=DESCRIBED_SECONDS))

    def works(self) -> Sequence[Work]:
        """Give the job that seals anew."""
        return (Work(kind=RESEAL, run=self._reseal),)

    async def inventory(self, caller: Caller) -> KeyInventory:
        """Say which key protects how much."""
        return await self.service.inventory(caller, (await self.database.provider.describe()).active_key_id)

    async def rotate_data_key(self, caller: Caller) -> JobId:
        """Seal by a fresh data key from now on; gives the job that seals anew what is there.

        Raises :class:`Conflict` while another rotation begins.
        """
        caller.require(Permission.ENCRYPTION_ROTATE)
        fresh = await create_key(
            self.database.provider, caller.organization_id, KeyPurpose.DATA, now=self.database.clock()
        )
        job_id = await self.service.rotate(caller, fresh)
        self.database.forget_keys([caller.organization_id])
        return job_id

    async def rotate_master_key(self, caller: Caller) -> MasterKeyRotation:
        """Wrap by a fresh master key from now on; the keys of all organizations follow in the rounds of upkeep."""
        await self.service.note_master_rotation(caller)
        fresh = await self.database.provider.rotate()
        self._active.clear()
        return MasterKeyRotation(master_key_id=fresh)

    async def rewrap(self, caller: Caller) -> int:
        """Wrap the organization's keys anew that another master key than the active one wraps, and say how many."""
        active = await self._active_master_key()
        rewrapped = 0
        for row in await self.service.wrapped_keys(caller):
            if row.provider_key_id != active:
                anew = await rewrap_key(self.database.provider, row)
                rewrapped += await self.service.replace_wrapping(caller, row, anew)
        return rewrapped

    async def look_after(self, caller: Caller) -> None:
        """Wrap anew what is to be, and rotate a data key that is old."""
        await self.rewrap(caller)
        if self.data_key_age is None:
            return
        data = [row for row in await self.service.wrapped_keys(caller) if row.purpose is KeyPurpose.DATA]
        if all(row.created_at < self.database.clock() - self.data_key_age for row in data):
            await self.rotate_data_key(caller)

    async def _reseal(self, caller: Caller, job: Job) -> None:
        for table in sealed_tables():
            after, resealed = await self.service.reseal(caller, table, None)
            job.progress.done += resealed
            while after is not None:
                after, resealed = await self.service.reseal(caller, table, after)
                job.progress.done += resealed
        while sealed := await self.api_keys.seal_macs(caller, RESEALED_AT_ONCE):
            job.progress.done += sealed
        await self._rewrap_subjects(caller, job)
        await self.service.remove_unused(caller)

    async def _rewrap_subjects(self, caller: Caller, job: Job) -> None:
        keys = await self.database.keys(caller.organization_id)
        last: bytes | None = b""
        while last is not None:
            last, rewrapped = await self.database.subjects.rewrap(keys, last, RESEALED_AT_ONCE)
            job.progress.done += rewrapped

    async def _active_master_key(self) -> str:
        active = self._active.get(_MASTER)
        if active is None:
            active = (await self.database.provider.describe()).active_key_id
            self._active.put(_MASTER, active)
        return active
