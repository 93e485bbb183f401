"""Master keys in the transit engine of HashiCorp Vault or OpenBao, over HTTP.

The engine's key is a *derived* one: each wrapping is bound to its context by the key that Vault derives for it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from pydantic import BaseModel, Field, JsonValue, SecretStr, ValidationError

from agentmem.errors import AgentMemError, ConfigurationError, KeyProviderUnavailable, KeyUnavailable
from agentmem.foundation.encryption.providers.port import GeneratedKey, KeyContext, ProviderDescription, RewrappedKey
from agentmem.foundation.encryption.providers.wrapping import does_not_open
from agentmem.foundation.encryption.secret import SecretKey

try:
    import httpx

    _INSTALLED = True
except ModuleNotFoundError:  # the extra is not installed: said when the provider is opened
    _INSTALLED = False

PROVIDER_NAME: Final = "vault"
_VERSION: Final = re.compile(rb"vault:v([1-9][0-9]{0,9}):")
_OF_OTHERS: Final = ("message authentication failed", "invalid ciphertext")
_BAD_REQUEST, _FORBIDDEN, _NOT_FOUND = 400, 403, 404


class _Data(BaseModel):
    pass


class _Made(_Data):
    plaintext: SecretStr
    ciphertext: str


class _Opened(_Data):
    plaintext: SecretStr


class _Rewrapped(_Data):
    ciphertext: str


class _Key(_Data):
    derived: bool
    latest_version: int
    min_decryption_version: int
    keys: Mapping[str, JsonValue]


class _Refusal(BaseModel):
    errors: list[str] = Field(default_factory=list)


AnyData = TypeVar("AnyData", bound=_Data)


@dataclass(frozen=True, kw_only=True, slots=True)
class VaultKeyProvider:
    """Wraps keys with the transit key ``key``; its versions are the master keys, named ``<key>:v<number>``."""

    key: str
    mount: str
    client: httpx.AsyncClient = field(repr=False)

    @classmethod
    def open(cls, url: str, *, token: SecretStr, key: str, mount: str = "transit") -> VaultKeyProvider:
        """Prepare the connections; nothing is sent yet. Raises ``ConfigurationError`` without the extra."""
        if not _INSTALLED:
            raise ConfigurationError(
                "Master keys in Vault need the package httpx, which is not installed.",
                hint='Install it with: pip install "agentmem[remote]"',
            )
        headers = {"X-Vault-Token": token.get_secret_value()}
        # The guard has the only clock.
        client = httpx.AsyncClient(base_url=f"{url.rstrip('/')}/v1/", headers=headers, timeout=None)  # noqa: S113
        return cls(key=key, mount=mount, client=client)

    async def generate_data_key(self, context: KeyContext) -> GeneratedKey:
        """Let Vault make a 256-bit key."""
        made = await self._post(f"datakey/plaintext/{self.key}", {"context": _bound(context)}, _Made, context)
        wrapped = made.ciphertext.encode()
        return GeneratedKey(
            key=_decoded(made.plaintext), wrapped=wrapped, provider_key_id=self._version_id(wrapped, context)
        )

    async def decrypt(self, wrapped: bytes, context: KeyContext) -> SecretKey:
        """Let Vault unwrap a key."""
        return _decoded((await self._post(f"decrypt/{self.key}", _sent(wrapped, context), _Opened, context)).plaintext)

    async def reencrypt(self, wrapped: bytes, context: KeyContext) -> RewrappedKey:
        """Wrap a key anew with the newest version; inside Vault."""
        anew = await self._post(f"rewrap/{self.key}", _sent(wrapped, context), _Rewrapped, context)
        again = anew.ciphertext.encode()
        return RewrappedKey(wrapped=again, provider_key_id=self._version_id(again, context))

    async def describe(self) -> ProviderDescription:
        """Name the versions of the key, which is made if there is none and the token may.

        Raises ``ConfigurationError`` if the key is no derived one.
        """
        key = await self._key()
        versions = sorted(int(number) for number in key.keys)
        return ProviderDescription(
            name=PROVIDER_NAME,
            active_key_id=f"{self.key}:v{key.latest_version}",
            key_ids=tuple(f"{self.key}:v{number}" for number in reversed(versions)),
        )

    async def rotate(self) -> str:
        """Add a version to the key."""
        await self._post(f"keys/{self.key}/rotate", {}, _Data, None)
        return (await self.describe()).active_key_id

    async def destroy(self, provider_key_id: str) -> None:
        """Trim the oldest version away; Vault destroys them in their order alone."""
        described = await self.describe()
        if provider_key_id == described.active_key_id:
            raise KeyUnavailable(f"The master key {provider_key_id} is the active one and is not destroyed.")
        if provider_key_id not in described.key_ids:
            raise KeyUnavailable(f"There is no master key {provider_key_id} in Vault.")
        if provider_key_id != described.key_ids[-1]:
            raise KeyUnavailable(
                f"The master key {provider_key_id} is not the oldest.", hint="Destroy those before it first."
            )
        oldest = int(provider_key_id.rpartition(":v")[2]) + 1
        await self._post(
            f"keys/{self.key}/config",
            {"min_decryption_version": oldest, "min_encryption_version": oldest},
            _Data,
            None,
        )
        await self._post(f"keys/{self.key}/trim", {"min_available_version": oldest}, _Data, None)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.client.aclose()

    def _version_id(self, wrapped: bytes, context: KeyContext) -> str:
        found = _VERSION.match(wrapped)
        if found is None:
            raise does_not_open(context)
        return f"{self.key}:v{found[1].decode()}"

    async def _key(self) -> _Key:
        response = await self._send("GET", f"keys/{self.key}", None)
        if response.status_code == _NOT_FOUND:
            await self._post(f"keys/{self.key}", {"type": "aes256-gcm96", "derived": True}, _Data, None)
            response = await self._send("GET", f"keys/{self.key}", None)
        key = self._read(response, _Key, None)
        if not key.derived:
            raise ConfigurationError(
                f"The transit key {self.key!r} of Vault is not derived: it would bind no wrapped key to its owner.",
                hint="Make one with: vault write transit/keys/<name> type=aes256-gcm96 derived=true",
            )
        return key

    async def _post(
        self, route: str, body: Mapping[str, JsonValue], answer: type[AnyData], context: KeyContext | None
    ) -> AnyData:
        return self._read(await self._send("POST", route, body), answer, context)

    async def _send(self, method: str, route: str, body: Mapping[str, JsonValue] | None) -> httpx.Response:
        try:
            response = await self.client.request(method, f"{self.mount}/{route}", json=body)
        except httpx.HTTPError as error:
            raise KeyProviderUnavailable(f"Vault could not be reached ({type(error).__name__}).") from None
        if response.is_server_error or response.status_code in {412, 429, 472, 473}:
            raise KeyProviderUnavailable(f"Vault answered with HTTP status {response.status_code}.")
        return response

    def _read(self, response: httpx.Response, answer: type[AnyData], context: KeyContext | None) -> AnyData:
        if response.is_success:
            data: JsonValue = response.json().get("data") if response.content else {}
            try:
                return answer.model_validate(data or {})
            except ValidationError:
                raise KeyProviderUnavailable("Vault gave an answer that cannot be read.") from None
        raise self._refused(response, context)

    def _refused(self, response: httpx.Response, context: KeyContext | None) -> AgentMemError:
        try:
            said = " ".join(_Refusal.model_validate_json(response.content).errors)
        except ValidationError:
            said = ""
        if context is not None and response.status_code == _BAD_REQUEST and any(text in said for text in _OF_OTHERS):
            return does_not_open(context)
        if response.status_code == _FORBIDDEN:
            return KeyUnavailable(
                f"Vault does not let the master key {self.key!r} be used (HTTP status 403).",
                hint="Renew the token, or give its policy the paths of the transit engine.",
            )
        return KeyUnavailable(
            f"Vault does not let the master key {self.key!r} be used (HTTP status {response.status_code}).",
            hint="Look at the key's versions, and whether it was deleted.",
        )


def _sent(wrapped: bytes, context: KeyContext) -> Mapping[str, JsonValue]:
    return {"ciphertext": wrapped.decode("ascii", "replace"), "context": _bound(context)}


def _decoded(plaintext: SecretStr) -> SecretKey:
    return SecretKey(bytearray(base64.b64decode(plaintext.get_secret_value())))


def _bound(context: KeyContext) -> str:
    text = f"agentmem/{context.organization_id}/{context.key_id}/{context.purpose.value}"
    return base64.b64encode(text.encode()).decode()
