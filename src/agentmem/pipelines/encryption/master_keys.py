"""The master keys of an installation: which there are, what each wraps, and the end of those that wrap nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from agentmem.errors import Conflict, NotFound
from agentmem.features.organizations.platform import PlatformService
from agentmem.foundation.authorization.caller import Caller, Permission, service_caller
from agentmem.foundation.jobs.upkeep import Schedule
from agentmem.kit.ids import OrganizationId
from agentmem.pipelines.encryption.rotation import Rotation
from agentmem.schemas.encryption import MasterKeyRotation, MasterKeyState

VISITED_AT_ONCE: Final = 500


@dataclass(frozen=True, kw_only=True)
class MasterKeys:
    """Looks after the master keys; ``keeper`` rotates them by itself every ``every_so_long``."""

    rotation: Rotation
    platform: PlatformService
    keeper: Caller
    every_so_long: timedelta | None = None

    def schedules(self) -> Sequence[Schedule]:
        """Give the round that rotates, if there is to be one."""
        if self.every_so_long is None:
            return ()
        return (Schedule(name="master key", seconds=self.every_so_long.total_seconds(), run=self._rotate),)

    async def every(self, caller: Caller) -> list[MasterKeyState]:
        """Read which master keys there are, and how many keys of organizations each wraps."""
        caller.require(Permission.PLATFORM_MANAGE)
        described = await self.rotation.database.provider.describe()
        wraps = await self._wraps()
        return [
            MasterKeyState(id=key_id, active=key_id == described.active_key_id, wraps=wraps[key_id])
            for key_id in dict.fromkeys((*described.key_ids, *wraps))
        ]

    async def destroy(self, caller: Caller, master_key_id: str) -> None:
        """Have a retired master key destroyed for good; backups from before the rotation open no more.

        Raises :class:`NotFound` for one that is not there, and :class:`Conflict` for one that is active or wraps a key.
        """
        caller.require(Permission.PLATFORM_MANAGE)
        wraps = (await self._wraps())[master_key_id]
        described = await self.rotation.database.provider.describe()
        if master_key_id not in described.key_ids:
            raise NotFound(f"There is no master key {master_key_id}.")
        if master_key_id == described.active_key_id:
            raise Conflict(f"The master key {master_key_id} is the active one.", hint="Rotate first.")
        if wraps:
            raise Conflict(
                f"The master key {master_key_id} still wraps {wraps} keys.",
                hint="Rotate, and wait until upkeep has wrapped the keys of all organizations anew.",
            )
        await self.rotation.service.note_master_destruction(caller)
        await self.rotation.database.provider.destroy(master_key_id)

    async def _rotate(self) -> MasterKeyRotation:
        return await self.rotation.rotate_master_key(self.keeper)

    async def _wraps(self) -> Counter[str]:
        """Count the keys that each master key wraps, of all organizations."""
        counted: Counter[str] = Counter()
        after: OrganizationId | None = None
        while found := await self.platform.all_ids(after, VISITED_AT_ONCE):
            for organization_id in found:
                try:
                    rows = await self.rotation.service.wrapped_keys(service_caller(organization_id))
                except NotFound:  # erased in this moment
                    continue
                counted.update(row.provider_key_id for row in rows)
            after = found[-1]
        return counted
