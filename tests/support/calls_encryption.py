"""An example of each operation on keys, with somebody else's ids."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from agentmem.features.encryption.service import EncryptionService
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.encryption.keyring import WrappedKey, create_key
from agentmem.foundation.encryption.providers.port import KeyPurpose
from agentmem.kit.ids import KeyId, OrganizationId, uuid7
from tests.support.foreign import Call

FOREIGN_KEY = WrappedKey(
    organization_id=OrganizationId(uuid7()),
    key_id=KeyId(uuid7()),
    purpose=KeyPurpose.DATA,
    wrapped=b"of somebody else",
    provider="file",
    provider_key_id="none",
    created_at=datetime.now(UTC),
)


async def _rotate(service: EncryptionService, caller: Caller) -> object:
    database = service.database
    fresh = await create_key(database.provider, caller.organization_id, KeyPurpose.DATA, now=database.clock())
    return await service.rotate(caller, fresh)


CALLS: dict[str, Call] = {
    "EncryptionService.inventory": lambda s, c, f: s.inventory(c, "none"),
    "EncryptionService.wrapped_keys": lambda s, c, f: s.wrapped_keys(c),
    "EncryptionService.replace_wrapping": lambda s, c, f: s.replace_wrapping(
        c, FOREIGN_KEY, replace(FOREIGN_KEY, wrapped=b"anew")
    ),
    "EncryptionService.note_master_rotation": lambda s, c, f: s.note_master_rotation(c),
    "EncryptionService.note_master_destruction": lambda s, c, f: s.note_master_destruction(c),
    "EncryptionService.reseal": lambda s, c, f: s.reseal(c, "memories", None),
    "EncryptionService.remove_unused": lambda s, c, f: s.remove_unused(c),
    "EncryptionService.rotate": lambda s, c, f: _rotate(s, c),
}
