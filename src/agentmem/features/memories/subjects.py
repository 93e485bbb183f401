"""Operations on all that is stored about one user, for whoever answers for it: restricted users are read here too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from agentmem.features.memories.model import StoredVersion
from agentmem.features.memories.provenance import descendants, fetch_provenance
from agentmem.features.memories.transfer import StoredMemory, read_by_id, read_whole
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import Place
from agentmem.operations import operation
from agentmem.schemas.memories import Provenance, Scope


@dataclass(frozen=True, kw_only=True)
class SubjectMemories:
    """Reads what the caller's organization stores about one user."""

    database: Database

    @operation(Permission.PRIVACY_READ, read_only=True)
    async def own(self, tx: Transaction, user_id: str, after: int, limit: int) -> list[tuple[StoredMemory, Provenance]]:
        """Read the next memories of a user whole, deleted ones too, each with where it comes from."""
        found = await read_whole(tx, Scope(user_id=user_id), after, limit)
        return [(stored, await fetch_provenance(tx, _first(stored))) for stored in found]

    @operation(Permission.PRIVACY_READ, read_only=True)
    async def derived(self, tx: Transaction, ids: Sequence[UUID]) -> list[UUID]:
        """Name what was derived from memories, and from that, but for the memories themselves."""
        return sorted(await descendants(tx, ids) - set(ids))

    @operation(Permission.PRIVACY_READ, read_only=True)
    async def several(self, tx: Transaction, ids: Sequence[UUID]) -> list[StoredMemory]:
        """Read those of these memories that are there, whole."""
        return await read_by_id(tx, ids)


def _first(stored: StoredMemory) -> StoredVersion:
    version = stored.exported.versions[0]
    return StoredVersion(
        record=version.memory, place=Place(stored.place), change=version.change, changed_by=version.changed_by
    )
