"""The processes of an installation: each says that it is there, and operators see who is."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import structlog

from agentmem.errors import AgentMemError
from agentmem.features.instances.model import NewInstance
from agentmem.features.instances.service import InstanceService
from agentmem.foundation.authorization.caller import Caller, Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.migrate import newest_revision
from agentmem.kit.ids import uuid7
from agentmem.schemas.instances import Instance, InstanceRole

HEARTBEAT: Final = 5.0
log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Instances:
    """The list of processes; ``schema_revision`` is the newest that this version knows."""

    service: InstanceService
    schema_revision: str

    @classmethod
    def over(cls, database: Database) -> Instances:
        """Make the list of a database's processes."""
        return cls(service=InstanceService(database=database), schema_revision=newest_revision())

    async def list(self, caller: Caller) -> Sequence[Instance]:
        """Read all processes, those that started first before the others; for operators."""
        caller.require(Permission.PLATFORM_MANAGE)
        return await self.service.every()

    @asynccontextmanager
    async def present(self, role: InstanceRole, address: str | None = None) -> AsyncIterator[None]:
        """Be on the list for the body of a ``with``; the database may be away meanwhile."""
        new = NewInstance(
            id=uuid7(),
            role=role,
            version=version("agentmem"),
            schema_revision=self.schema_revision,
            host=platform.node(),
            address=address,
        )
        await self.service.seen(new)
        saying = asyncio.create_task(self._keep_saying(new))
        try:
            yield
        finally:
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)
            with suppress(AgentMemError):  # it is seen to be gone in some seconds, and forgotten after a day
                await self.service.gone(new.id)

    async def _keep_saying(self, new: NewInstance) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            try:
                await self.service.seen(new)
            except AgentMemError as error:
                log.warning("presence_not_noted", reason=error.code)
