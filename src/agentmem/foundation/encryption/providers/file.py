"""The key provider of one machine: master keys in a file that only its owner reads.

The file and the wrapped keys are specified in ``docs/reference/encryption-format.md``. The file is read anew for each
use: no master key stays in memory, and a key added to it or destroyed takes effect at once.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agentmem.errors import KeyUnavailable
from agentmem.foundation.encryption.providers import masterfile
from agentmem.foundation.encryption.providers.masterfile import MasterKey, MasterKeys
from agentmem.foundation.encryption.providers.port import (
    GeneratedKey,
    KeyContext,
    ProviderDescription,
    RewrappedKey,
)
from agentmem.foundation.encryption.providers.wrapping import does_not_open, new_envelope, take_apart
from agentmem.foundation.encryption.secret import KEY_BYTES, SecretKey

PROVIDER_NAME: Final = "file"


class FileKeyProvider:
    """Wraps keys by AES-256-GCM with the master keys of the file at ``path``.

    Make one with :meth:`open`, which creates the file at the first start.
    """

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    async def open(cls, path: Path) -> FileKeyProvider:
        """Create the file with one fresh master key unless it is there, then check that it can be used.

        Processes that start together agree on one file. Raises ``KeyUnavailable`` when the file cannot be created or
        read, is readable by others, or is damaged.
        """
        await asyncio.to_thread(masterfile.create_if_missing, path)
        provider = cls(path)
        await provider.describe()
        return provider

    async def generate_data_key(self, context: KeyContext) -> GeneratedKey:
        """Make a 256-bit key and wrap it with the active master key."""
        master = (await self._read()).active
        key = SecretKey(bytearray(os.urandom(KEY_BYTES)))
        return GeneratedKey(key=key, wrapped=_wrap(master, key, context), provider_key_id=str(master.key_id))

    async def decrypt(self, wrapped: bytes, context: KeyContext) -> SecretKey:
        """Unwrap a key that was wrapped for the same context by any master key of the file."""
        return _unwrap(await self._read(), wrapped, context, self._path)

    async def reencrypt(self, wrapped: bytes, context: KeyContext) -> RewrappedKey:
        """Wrap a key anew with the active master key."""
        masters = await self._read()
        key = _unwrap(masters, wrapped, context, self._path)
        try:
            anew = _wrap(masters.active, key, context)
        finally:
            key.wipe()
        return RewrappedKey(wrapped=anew, provider_key_id=str(masters.active.key_id))

    async def describe(self) -> ProviderDescription:
        """Name the master keys of the file."""
        masters = await self._read()
        return ProviderDescription(
            name=PROVIDER_NAME,
            active_key_id=str(masters.active.key_id),
            key_ids=tuple(str(master.key_id) for master in masters.keys),
        )

    async def rotate(self) -> str:
        """Add a fresh master key to the file, which wraps from now on, and retire the one before."""
        return await asyncio.to_thread(masterfile.add_key, self._path)

    async def destroy(self, provider_key_id: str) -> None:
        """Take a retired master key out of the file for good; copies of the file are for their owner to delete."""
        await asyncio.to_thread(masterfile.remove_key, self._path, provider_key_id)

    async def aclose(self) -> None:
        """Do nothing: no file is kept open."""

    async def _read(self) -> MasterKeys:
        return await asyncio.to_thread(masterfile.read, self._path)

    def __repr__(self) -> str:
        return f"FileKeyProvider(path={str(self._path)!r}, keys=***)"


def _wrap(master: MasterKey, key: SecretKey, context: KeyContext) -> bytes:
    envelope = new_envelope(master.key_id, context)
    aead = AESGCM(master.key.reveal())
    return envelope.put(aead.encrypt(envelope.nonce, key.reveal(), envelope.associated_data))


def _unwrap(masters: MasterKeys, wrapped: bytes, context: KeyContext, path: Path) -> SecretKey:
    envelope, sealed = take_apart(wrapped, context)
    master = masters.find(envelope.master_id)
    if master is None:
        raise KeyUnavailable(
            f"Key {context.key_id} was wrapped by the master key {envelope.master_id}, which is not in {path}.",
            hint="Restore the key file that belongs to this database.",
        )
    key = SecretKey(bytearray(KEY_BYTES))
    try:
        AESGCM(master.key.reveal()).decrypt_into(envelope.nonce, sealed, envelope.associated_data, key.reveal())
    except InvalidTag:
        # OpenSSL writes before it has checked the tag.
        key.wipe()
        raise does_not_open(context) from None
    return key
