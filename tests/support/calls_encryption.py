"""An example of each operation on keys, with somebody else's ids."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from agentmem.foundation.encryption.keyring import WrappedKey
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

CALLS: dict[str, Call] = {
    "EncryptionService.inventory": lambda s, c, f: s.inventory(c, "none"),
    "EncryptionService.wrapped_keys": lambda s, c, f: s.wrapped_keys(c),
    "EncryptionService.replace_wrapping": lambda s, c, f: s.replace_wrapping(
        c, FOREIGN_KEY, replace(FOREIGN_KEY, wrapped=b"anew")
    ),
    "EncryptionService.note_master_rotation": lambda s, c, f: s.note_master_rotation(c),
    "EncryptionService.reseal": lambda s, c, f: s.reseal(c, "memories", None),
    "EncryptionService.remove_unused": lambda s, c, f: s.remove_unused(c),
    # Last: what it brings is no key, and nothing opens after it.
    "EncryptionService.rotate": lambda s, c, f: s.rotate(c, FOREIGN_KEY),
}
