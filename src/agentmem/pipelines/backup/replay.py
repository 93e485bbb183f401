"""Erasing again, in a restored database, whoever was erased since the backup was made."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from agentmem.features.memories.erasing import MemoryErasing
from agentmem.features.organizations.platform import PlatformService
from agentmem.foundation.authorization.caller import service_caller
from agentmem.foundation.database.connect import Server
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.inspect import Caretaker
from agentmem.foundation.database.subjects import WHOLE_ORGANIZATION
from agentmem.kit.ids import OrganizationId

_AT_ONCE: Final = 500


async def replay(database: Database, server: Server) -> int:
    """Go through the ledger of every organization of a database, and say how many users were erased again.

    An organization that is no more is removed whole.
    """
    erased = 0
    platform = PlatformService(database=database)
    after: OrganizationId | None = None
    while found := await platform.all_ids(after, _AT_ONCE):
        for organization_id in found:
            ledger = await database.subjects.erased(organization_id)
            if WHOLE_ORGANIZATION in ledger:
                await Caretaker(server=server).remove_organization(organization_id)
            else:
                erased += await _erase_again(database, organization_id, ledger)
        after = found[-1]
    if erased:
        await Caretaker(server=server).rewrite()
    return erased


async def _erase_again(database: Database, organization_id: OrganizationId, ledger: dict[bytes, datetime]) -> int:
    memories, caller = MemoryErasing(database=database), service_caller(organization_id)
    users = await memories.written_before(caller, ledger) if ledger else []
    for user_id in users:
        while await memories.erase(caller, user_id):
            pass
        await memories.erase_rest(caller, user_id)
    return len(users)
