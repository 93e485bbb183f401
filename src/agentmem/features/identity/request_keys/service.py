"""Operations on the keys that sign the requests of API keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentmem.errors import QuotaExceeded
from agentmem.features.identity import repository as api_keys
from agentmem.features.identity.model import Ceiling, key_number, require_managed
from agentmem.features.identity.request_keys import repository
from agentmem.features.identity.request_keys.model import MOST_REQUEST_KEYS, StoredRequestKey, material_of
from agentmem.foundation.authorization.caller import Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.system import SystemPurpose, SystemTransaction
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import OrganizationId
from agentmem.operations import operation, system_operation
from agentmem.schemas.request_keys import IssuedRequestKey, NewRequestKey, RequestKey


@dataclass(frozen=True, kw_only=True)
class RequestKeyService:
    """Operations on the keys that sign requests; whoever may change an API key may say what signs for it."""

    database: Database

    @operation(Permission.KEY_WRITE, audit="request_key.created")
    async def create(self, tx: Transaction, key_id: str, new: NewRequestKey, ceiling: Ceiling) -> IssuedRequestKey:
        """Make a key that signs the requests of an API key; its secret is in the answer and nowhere else.

        Raises :class:`PermissionDenied` for an API key beyond the ceiling, :class:`QuotaExceeded` for the 11th.
        """
        await api_keys.fetch_key(tx, key_id, lock=True)
        require_managed(await api_keys.fetch_chain(tx, key_id), ceiling)
        if await repository.count_good(tx, key_id) >= MOST_REQUEST_KEYS:
            raise QuotaExceeded(f"The API key has {MOST_REQUEST_KEYS} signing keys.", hint="Revoke one first.")
        material = material_of(new, tx.keys.keyring)
        tx.touch([key_number(key_id), key_number(material.request_key_id)])
        made = await repository.insert_request_key(tx, key_id, new, material)
        return IssuedRequestKey(key=material.text, request_key=made)

    @operation(Permission.KEY_READ, read_only=True)
    async def list(self, tx: Transaction, key_id: str) -> list[RequestKey]:
        """Read the keys that sign, or did, for an API key, the oldest first; raises :class:`NotFound`."""
        await api_keys.fetch_key(tx, key_id)
        return await repository.fetch_all(tx, key_id)

    @operation(Permission.KEY_WRITE, audit="request_key.revoked")
    async def revoke(self, tx: Transaction, key_id: str, request_key_id: str, ceiling: Ceiling) -> RequestKey:
        """End a key that signs; repeating it changes nothing.

        Raises :class:`NotFound`, and :class:`PermissionDenied` for an API key beyond the ceiling.
        """
        await api_keys.fetch_key(tx, key_id, lock=True)
        require_managed(await api_keys.fetch_chain(tx, key_id), ceiling)
        ended = await repository.revoke_request_key(tx, key_id, request_key_id)
        tx.touch([key_number(key_id), key_number(request_key_id)])
        return ended

    @system_operation(SystemPurpose.AUTHENTICATE, read_only=True)
    async def of_key(
        self, tx: SystemTransaction, organization_id: OrganizationId, key_id: str
    ) -> Sequence[StoredRequestKey]:
        """Read the keys that may sign the requests of an API key."""
        await tx.bind(organization_id)
        return await repository.fetch_good(tx, key_id)
