"""Operations on organizations: registration."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid5

from agentmem.errors import Conflict, NotFound
from agentmem.features.organizations import repository
from agentmem.foundation.authorization.caller import Caller, Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.encryption.keyring import WrappedKey, create_organization_keys
from agentmem.foundation.ledger.audit import Outcome, write_audit_entry
from agentmem.kit.ids import OrganizationId
from agentmem.operations import operation

_NAMES: Final = UUID("6f1d3d5e-6f0a-5b0e-9a52-6c1c8f4d2b70")


def organization_id_of(name: str) -> OrganizationId:
    """Give the id of the organization with this name in an embedded store (UUIDv5, RFC 9562 section 5.5)."""
    return OrganizationId(uuid5(_NAMES, name))


@dataclass(frozen=True, kw_only=True)
class OrganizationService:
    """Operations on the caller's organization."""

    database: Database

    async def register(self, caller: Caller, name: str) -> None:
        """Make the caller's organization with its keys, unless it is there; of two at the same time one wins."""
        try:
            await self.name(caller)
        except NotFound:
            pass
        else:
            return
        keys = await create_organization_keys(self.database.provider, caller.organization_id, now=self.database.clock())
        with suppress(Conflict):  # another process was faster, and its keys are the organization's
            await self._register(caller, name, list(keys))

    async def _register(self, caller: Caller, name: str, keys: list[WrappedKey]) -> None:
        async with self.database.registration(caller, keys) as tx:
            if not await repository.insert_organization(tx, name):
                raise Conflict(f"The organization {name!r} is there already.")
            await repository.insert_keys(tx, keys)
            await write_audit_entry(tx, "organization.registered", Outcome.DONE)

    @operation(Permission.ORGANIZATION_READ, read_only=True)
    async def name(self, tx: Transaction) -> str:
        """Read the organization's name."""
        return await repository.fetch_name(tx)
