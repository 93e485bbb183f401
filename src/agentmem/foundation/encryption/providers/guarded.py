"""A key provider that is somewhere else, behind its guards."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from agentmem.errors import KeyProviderUnavailable
from agentmem.foundation.encryption.providers.port import (
    GeneratedKey,
    KeyContext,
    KeyProvider,
    ProviderDescription,
    RewrappedKey,
)
from agentmem.foundation.encryption.secret import SecretKey
from agentmem.foundation.resilience.guarded import Guard, Guarded

KEY_PROVIDER: Final = Guard(
    name="key_provider",
    what="The key provider",
    error=KeyProviderUnavailable,
    seconds=10.0,
    # Fewer than the threads of a process, in which the vendors' libraries wait.
    most=4,
)


@dataclass(frozen=True, slots=True)
class GuardedProvider:
    """Asks ``provider`` with a time for its answers, again when it fails, and not at all while it keeps failing."""

    provider: KeyProvider
    guarded: Guarded

    async def generate_data_key(self, context: KeyContext) -> GeneratedKey:
        """Make a 256-bit key and wrap it with the active master key."""
        return await self.guarded.call(partial(self.provider.generate_data_key, context))

    async def decrypt(self, wrapped: bytes, context: KeyContext) -> SecretKey:
        """Unwrap a key that was wrapped for the same context."""
        return await self.guarded.call(partial(self.provider.decrypt, wrapped, context))

    async def reencrypt(self, wrapped: bytes, context: KeyContext) -> RewrappedKey:
        """Wrap a key anew with the active master key."""
        return await self.guarded.call(partial(self.provider.reencrypt, wrapped, context))

    async def describe(self) -> ProviderDescription:
        """Say which master keys there are."""
        return await self.guarded.call(self.provider.describe)

    async def rotate(self) -> str:
        """Make a new master key; not tried again, for each attempt may have made one."""
        return await self.guarded.call(self.provider.rotate, idempotent=False)

    async def destroy(self, provider_key_id: str) -> None:
        """Destroy a master key for good."""
        await self.guarded.call(partial(self.provider.destroy, provider_key_id), idempotent=False)

    async def aclose(self) -> None:
        """Let go of connections."""
        await self.provider.aclose()
