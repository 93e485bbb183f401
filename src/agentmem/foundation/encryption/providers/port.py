"""The port to whoever holds the master keys: a file on a laptop, a key management service in a company."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from agentmem.foundation.encryption.secret import SecretKey
from agentmem.kit.ids import KeyId, OrganizationId


class KeyPurpose(StrEnum):
    """What a key of an organization is for: ``data`` seals content, ``index`` makes keyed hashes."""

    DATA = "data"
    INDEX = "index"


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyContext:
    """Whose key it is; a provider binds it to the wrapped bytes, so that they unwrap for nobody else."""

    organization_id: OrganizationId
    key_id: KeyId
    purpose: KeyPurpose


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratedKey:
    """A fresh key, in clear and as wrapped by the master key ``provider_key_id``."""

    key: SecretKey
    wrapped: bytes = field(repr=False)
    provider_key_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RewrappedKey:
    """A key wrapped anew by the master key ``provider_key_id``; the key itself has not changed."""

    wrapped: bytes = field(repr=False)
    provider_key_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ProviderDescription:
    """A provider's name, its master keys by id, and which of them wraps new keys."""

    name: str
    active_key_id: str
    key_ids: tuple[str, ...]


class KeyProvider(Protocol):
    """Wraps and unwraps keys with master keys that never leave it.

    Every method raises ``KeyUnavailable`` when the master key is unknown or may not be used, ``DecryptionFailed`` when
    the wrapped bytes were changed or belong to another context, and ``KeyProviderUnavailable`` when the provider does
    not answer.
    """

    async def generate_data_key(self, context: KeyContext) -> GeneratedKey:
        """Make a 256-bit key and wrap it with the active master key."""
        ...

    async def decrypt(self, wrapped: bytes, context: KeyContext) -> SecretKey:
        """Unwrap a key that was wrapped for the same context."""
        ...

    async def reencrypt(self, wrapped: bytes, context: KeyContext) -> RewrappedKey:
        """Wrap a key anew with the active master key."""
        ...

    async def describe(self) -> ProviderDescription:
        """Say which master keys there are."""
        ...

    async def rotate(self) -> str:
        """Make a new master key, which wraps from now on, and give its id; those before it unwrap as ever."""
        ...

    async def destroy(self, provider_key_id: str) -> None:
        """Destroy a master key for good: what only it wrapped is lost. The active one is refused."""
        ...

    async def aclose(self) -> None:
        """Let go of connections."""
        ...
