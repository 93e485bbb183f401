"""The keys of access tokens as a process knows them: believed for less than a second, so that a lost key ends soon."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from agentmem.errors import KeyUnavailable
from agentmem.features.identity.signing.service import SigningKeyService
from agentmem.foundation.authorization.caller import accounts_caller
from agentmem.foundation.tokens.keys import PrivateKey, PublicKey

FRESH_SECONDS: Final = 0.75


@dataclass(frozen=True, kw_only=True, slots=True)
class _Read:
    until: float
    public: Mapping[str, PublicKey]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Signing:
    until: float
    key: PrivateKey = field(repr=False)


class KnownKeys:
    """Gives the keys that check tokens, and the one that signs; whoever asks first reads them for all."""

    def __init__(self, service: SigningKeyService, *, ticks: Callable[[], float] = monotonic) -> None:
        """Know nothing yet; ``ticks`` gives seconds."""
        self.service = service
        self._ticks = ticks
        self._reading = asyncio.Lock()
        self._read: _Read | None = None
        self._signing: _Signing | None = None

    async def public(self) -> Mapping[str, PublicKey]:
        """Give the keys that check now, or will, by their names."""
        read = self._read
        return read.public if read is not None and self._ticks() < read.until else await self._read_after(read)

    async def find(self, kid: str) -> PublicKey | None:
        """Give a key by its name; an unknown one is looked for anew, for another server may just have made it."""
        read = self._read
        found = (await self.public()).get(kid)
        return found if found is not None or read is not self._read else (await self._read_after(read)).get(kid)

    async def _read_after(self, read: _Read | None) -> Mapping[str, PublicKey]:
        """Read the keys, unless somebody else has meanwhile: one at a time, whoever invents names."""
        async with self._reading:
            if self._read is None or self._read is read:
                until = self._ticks() + FRESH_SECONDS
                known = await self.service.published()
                self._read = _Read(until=until, public={key.public.kid: key.public for key in known})
            return self._read.public

    async def signing(self) -> PrivateKey:
        """Give the key that signs now, and make the first one if there is none."""
        kept = self._signing
        if kept is not None and self._ticks() < kept.until:
            return kept.key
        until = self._ticks() + FRESH_SECONDS
        caller = accounts_caller()
        key = await self.service.signing(caller)
        if key is None:
            await self.service.ensure(caller)
            self._read = None
            key = await self.service.signing(caller)
        if key is None:
            raise KeyUnavailable("No key signs access tokens.", hint="Run `agentmem signing-keys rotate --now`.")
        self._signing = _Signing(until=until, key=key)
        return key
