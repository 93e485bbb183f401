"""Master keys in a hardware security module (PKCS#11): AES keys that never leave it.

Wrapped keys have the form of the file provider's; the module does the AES-256-GCM. A master key's id is its ``CKA_ID``,
a UUIDv7: of those with the configured label the newest wraps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, TypeVar, cast
from uuid import UUID

from pydantic import SecretStr

from agentmem.errors import ConfigurationError, KeyProviderUnavailable, KeyUnavailable
from agentmem.foundation.encryption.providers.port import GeneratedKey, KeyContext, ProviderDescription, RewrappedKey
from agentmem.foundation.encryption.providers.wrapping import (
    TAG_BYTES,
    Envelope,
    does_not_open,
    new_envelope,
    take_apart,
)
from agentmem.foundation.encryption.secret import KEY_BYTES, SecretKey
from agentmem.kit.ids import uuid7

try:
    import pkcs11
    from pkcs11 import Attribute, DecryptMixin, EncryptMixin, KeyType, Mechanism, ObjectClass
    from pkcs11 import exceptions as said
    from pkcs11.mechanisms import GCMParams

    _INSTALLED = True
except ModuleNotFoundError:  # the extra is not installed: said when the provider is opened
    _INSTALLED = False

PROVIDER_NAME: Final = "pkcs11"
_UUID_BYTES: Final = 16

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class HsmKeyProvider:
    """Wraps keys with the newest AES key named ``label`` of a token.

    Each call has a session of its own, so that a key which was disabled or destroyed meanwhile is found to be.
    """

    module: Path
    token: str
    label: str
    pin: SecretStr
    _thread: ThreadPoolExecutor = field(repr=False)
    """One thread, for the login of a token belongs to a program and not to a session."""

    @classmethod
    def open(cls, module: Path, *, token: str, pin: SecretStr, label: str) -> HsmKeyProvider:
        """Prepare to ask the module. Raises ``ConfigurationError`` without the extra."""
        if not _INSTALLED:
            raise ConfigurationError(
                "Master keys in a hardware module need the package python-pkcs11, which is not installed.",
                hint='Install it with: pip install "agentmem[pkcs11]"',
            )
        thread = ThreadPoolExecutor(1, thread_name_prefix="pkcs11")
        return cls(module=module, token=token, label=label, pin=pin, _thread=thread)

    async def generate_data_key(self, context: KeyContext) -> GeneratedKey:
        """Let the module make 256 random bits, and wrap them with the active master key."""

        def generate(session: pkcs11.Session) -> GeneratedKey:
            key = SecretKey(bytearray(session.generate_random(KEY_BYTES * 8)))
            wrapped, master_id = self._wrap(key, context, session)
            return GeneratedKey(key=key, wrapped=wrapped, provider_key_id=master_id)

        return await self._ask(generate)

    async def decrypt(self, wrapped: bytes, context: KeyContext) -> SecretKey:
        """Unwrap a key that was wrapped for the same context."""
        return await self._ask(partial(self._unwrap, wrapped, context))

    async def reencrypt(self, wrapped: bytes, context: KeyContext) -> RewrappedKey:
        """Wrap a key anew with the active master key."""

        def rewrap(session: pkcs11.Session) -> RewrappedKey:
            key = self._unwrap(wrapped, context, session)
            try:
                anew, master_id = self._wrap(key, context, session)
            finally:
                key.wipe()
            return RewrappedKey(wrapped=anew, provider_key_id=master_id)

        return await self._ask(rewrap)

    async def describe(self) -> ProviderDescription:
        """Name the master keys of the token, of which the first is made if there is none."""

        def describe(session: pkcs11.Session) -> tuple[str, ...]:
            return tuple(str(_id_of(master)) for master in self._found(session))

        ids = await self._ask(describe) or (await self.rotate(),)
        return ProviderDescription(name=PROVIDER_NAME, active_key_id=ids[0], key_ids=ids)

    async def rotate(self) -> str:
        """Let the module make a master key that it gives to nobody."""

        def generate(session: pkcs11.Session) -> str:
            fresh = uuid7()
            rules = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
            uses = {Attribute.ENCRYPT: True, Attribute.DECRYPT: True, Attribute.WRAP: False, Attribute.UNWRAP: False}
            session.generate_key(
                KeyType.AES, KEY_BYTES * 8, id=fresh.bytes, label=self.label, store=True, template={**rules, **uses}
            )
            return str(fresh)

        return await self._ask(generate, writes=True)

    async def destroy(self, provider_key_id: str) -> None:
        """Take a master key out of the token for good."""

        def destroy(session: pkcs11.Session) -> None:
            masters = {str(_id_of(master)): master for master in self._found(session)}
            if provider_key_id not in masters:
                raise KeyUnavailable(f"There is no master key {provider_key_id} in the token {self.token!r}.")
            if provider_key_id == next(iter(masters)):
                raise KeyUnavailable(f"The master key {provider_key_id} is the active one and is not destroyed.")
            masters[provider_key_id].destroy()

        await self._ask(destroy, writes=True)

    async def aclose(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _unwrap(self, wrapped: bytes, context: KeyContext, session: pkcs11.Session) -> SecretKey:
        envelope, sealed = take_apart(wrapped, context)
        for master in self._found(session):
            if _id_of(master) == envelope.master_id:
                break
        else:
            raise KeyUnavailable(
                f"Key {context.key_id} was wrapped by the master key {envelope.master_id}, which is not in the token "
                f"{self.token!r}.",
                hint="Restore the token's keys from the module's backup.",
            )
        if not isinstance(master, DecryptMixin):
            raise self._disabled(master)
        try:
            opened = master.decrypt(sealed, mechanism=Mechanism.AES_GCM, mechanism_param=_parameters(envelope))
        except (said.EncryptedDataInvalid, said.EncryptedDataLenRange, said.GeneralError):
            # SoftHSM says "general error" where a tag is wrong.
            raise does_not_open(context) from None
        return SecretKey(bytearray(cast("bytes", opened)))  # an iterator answers an iterator alone

    def _wrap(self, key: SecretKey, context: KeyContext, session: pkcs11.Session) -> tuple[bytes, str]:
        """Wrap a key with the active master key; gives that key's id too."""
        master = next(iter(self._found(session)), None)
        if master is None:
            raise KeyUnavailable(f"There is no master key {self.label!r} in the token {self.token!r}.")
        if not isinstance(master, EncryptMixin):
            raise self._disabled(master)
        envelope = new_envelope(_id_of(master), context)
        sealed = master.encrypt(bytes(key.reveal()), mechanism=Mechanism.AES_GCM, mechanism_param=_parameters(envelope))
        return envelope.put(cast("bytes", sealed)), str(envelope.master_id)

    def _disabled(self, master: pkcs11.SecretKey) -> KeyUnavailable:
        return KeyUnavailable(
            f"The master key {_id_of(master)} of the token {self.token!r} is disabled.", hint="Enable it in the module."
        )

    def _found(self, session: pkcs11.Session) -> list[pkcs11.SecretKey]:
        query = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: self.label}
        masters = [
            each
            for each in session.get_objects(query)
            if isinstance(each, pkcs11.SecretKey) and len(each.id) == _UUID_BYTES
        ]
        return sorted(masters, key=_id_of, reverse=True)

    async def _ask(self, question: Callable[[pkcs11.Session], Result], *, writes: bool = False) -> Result:
        def ask() -> Result:
            with _translated(self.module, self.token):
                token = pkcs11.lib(str(self.module)).get_token(token_label=self.token)
                with self._session(token, writes=writes) as session:
                    return question(session)

        return await asyncio.get_running_loop().run_in_executor(self._thread, ask)

    def _session(self, token: pkcs11.Token, *, writes: bool) -> pkcs11.Session:
        try:
            return token.open(rw=writes, user_pin=self.pin.get_secret_value())
        except said.UserAlreadyLoggedIn:  # another store of this program has
            return token.open(rw=writes)


def _parameters(envelope: Envelope) -> GCMParams:
    return GCMParams(envelope.nonce, envelope.associated_data, TAG_BYTES * 8)


def _id_of(master: pkcs11.SecretKey) -> UUID:
    return UUID(bytes=bytes(master.id))


@contextmanager
def _translated(module: Path, token: str) -> Iterator[None]:
    """Say what a module's refusals mean: some will pass, some are a key's state."""
    try:
        yield
    except said.PinIncorrect:
        # Not tried again: a token locks itself after a few wrong ones.
        raise KeyUnavailable(f"The PIN of the token {token!r} is wrong.", hint="Set AGENTMEM_PKCS11_PIN.") from None
    except (said.NoSuchToken, said.TokenNotPresent, said.DeviceRemoved):
        raise KeyProviderUnavailable(f"There is no token {token!r} behind {module}.") from None
    except said.PKCS11Error as error:
        raise KeyProviderUnavailable(f"The module {module} failed ({type(error).__name__}).") from None
    except RuntimeError as error:
        if type(error) is not RuntimeError:
            raise
        raise ConfigurationError(f"The module {module} cannot be loaded.", hint="Set AGENTMEM_PKCS11_MODULE.") from None
