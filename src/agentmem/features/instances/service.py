"""Operations on the list of processes; none has a caller, for a process is nobody's."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from agentmem.features.instances import repository
from agentmem.features.instances.model import NewInstance
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.system import SystemPurpose, SystemTransaction
from agentmem.operations import system_operation
from agentmem.schemas.instances import Instance


@dataclass(frozen=True, kw_only=True)
class InstanceService:
    """Who is there: what each process says of itself, again and again."""

    database: Database

    @system_operation(SystemPurpose.PRESENCE)
    async def seen(self, tx: SystemTransaction, new: NewInstance) -> None:
        """Note that a process is there now."""
        await repository.note_seen(tx, new)

    @system_operation(SystemPurpose.PRESENCE)
    async def gone(self, tx: SystemTransaction, instance_id: UUID) -> None:
        """Take a process off the list that ends as it should."""
        await repository.remove(tx, instance_id)

    @system_operation(SystemPurpose.PRESENCE, read_only=True)
    async def every(self, tx: SystemTransaction) -> list[Instance]:
        """Read all processes, those that started first before the others."""
        return await repository.fetch_all(tx)
