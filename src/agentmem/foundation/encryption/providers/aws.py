"""Master keys in AWS KMS: the service wraps and unwraps, and never gives them away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol, TypedDict, TypeVar

from agentmem.errors import AgentMemError, ConfigurationError, DecryptionFailed, KeyProviderUnavailable, KeyUnavailable
from agentmem.foundation.encryption.providers.port import GeneratedKey, KeyContext, ProviderDescription, RewrappedKey
from agentmem.foundation.encryption.providers.wrapping import does_not_open
from agentmem.foundation.encryption.secret import SecretKey

try:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    _INSTALLED = True
except ModuleNotFoundError:  # the extra is not installed: said when the provider is opened
    _INSTALLED = False

PROVIDER_NAME: Final = "aws"
_WAITING_DAYS: Final = 7
"""The shortest time that AWS lets pass before it destroys a key: its deletion can be cancelled until then."""
_OF_OTHERS: Final = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})
_NOT_TO_BE_USED: Final = frozenset(
    {
        "AccessDeniedException",
        "DisabledException",
        "InvalidArnException",
        "InvalidKeyUsageException",
        "KMSInvalidStateException",
        "NotFoundException",
        "ValidationException",
    }
)

Result = TypeVar("Result")


class _Key(TypedDict):
    KeyId: str


class _Made(_Key):
    Plaintext: bytes
    CiphertextBlob: bytes


class _KmsClient(Protocol):
    """What is used of boto3's client, which publishes no types."""

    def generate_data_key(self, *, KeyId: str, KeySpec: str, EncryptionContext: Mapping[str, str]) -> _Made: ...  # noqa: N803
    def decrypt(self, *, CiphertextBlob: bytes, EncryptionContext: Mapping[str, str]) -> _Made: ...  # noqa: N803
    def re_encrypt(
        self,
        *,
        CiphertextBlob: bytes,  # noqa: N803
        SourceEncryptionContext: Mapping[str, str],  # noqa: N803
        DestinationKeyId: str,  # noqa: N803
        DestinationEncryptionContext: Mapping[str, str],  # noqa: N803
    ) -> _Made: ...
    def describe_key(self, *, KeyId: str) -> Mapping[str, Mapping[str, str]]: ...  # noqa: N803
    def rotate_key_on_demand(self, *, KeyId: str) -> _Key: ...  # noqa: N803
    def schedule_key_deletion(self, *, KeyId: str, PendingWindowInDays: int) -> _Key: ...  # noqa: N803
    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class AwsKeyProvider:
    """Wraps keys with the KMS key ``key_id`` (an id, ARN or alias), bound to their encryption context.

    ``earlier`` are the ARNs of keys that wrapped before it; what another key has wrapped is refused, though AWS would
    unwrap it. Credentials are found as boto3 finds them.
    """

    key_id: str
    earlier: Sequence[str]
    client: _KmsClient = field(repr=False)

    @classmethod
    def open(
        cls, key_id: str, *, earlier: Sequence[str] = (), region: str | None = None, endpoint: str | None = None
    ) -> AwsKeyProvider:
        """Prepare the client; nothing is sent yet. Raises ``ConfigurationError`` without the extra or a region."""
        if not _INSTALLED:
            raise ConfigurationError(
                "Master keys in AWS KMS need the package boto3, which is not installed.",
                hint='Install it with: pip install "agentmem[aws]"',
            )
        # The guard tries again, and has the time for all of a call.
        config = Config(connect_timeout=3, read_timeout=8, retries={"total_max_attempts": 1})
        try:
            client = boto3.session.Session().client("kms", region_name=region, endpoint_url=endpoint, config=config)
        except (BotoCoreError, ValueError) as error:
            raise ConfigurationError(
                f"AWS KMS cannot be set up ({type(error).__name__}).", hint="Set AGENTMEM_AWS_REGION."
            ) from None
        return cls(key_id=key_id, earlier=tuple(earlier), client=client)

    async def generate_data_key(self, context: KeyContext) -> GeneratedKey:
        """Let KMS make a 256-bit key."""
        made = await self._ask(
            context,
            partial(
                self.client.generate_data_key, KeyId=self.key_id, KeySpec="AES_256", EncryptionContext=_bound(context)
            ),
        )
        return GeneratedKey(
            key=SecretKey(bytearray(made["Plaintext"])), wrapped=made["CiphertextBlob"], provider_key_id=made["KeyId"]
        )

    async def decrypt(self, wrapped: bytes, context: KeyContext) -> SecretKey:
        """Let KMS unwrap a key, if one of our master keys has wrapped it."""
        opened = await self._ask(
            context, partial(self.client.decrypt, CiphertextBlob=wrapped, EncryptionContext=_bound(context))
        )
        key = SecretKey(bytearray(opened["Plaintext"]))
        if opened["KeyId"] not in (await self.describe()).key_ids:
            key.wipe()
            raise DecryptionFailed(
                f"Key {context.key_id} was wrapped by {opened['KeyId']}, which is none of this store's master keys.",
                hint="Name it in AGENTMEM_AWS_EARLIER_KEYS if it is.",
            )
        return key

    async def reencrypt(self, wrapped: bytes, context: KeyContext) -> RewrappedKey:
        """Wrap a key anew, by the newest material of the master key; inside KMS."""
        (await self.decrypt(wrapped, context)).wipe()  # one that is not ours is not made ours
        anew = await self._ask(
            context,
            partial(
                self.client.re_encrypt,
                CiphertextBlob=wrapped,
                SourceEncryptionContext=_bound(context),
                DestinationKeyId=self.key_id,
                DestinationEncryptionContext=_bound(context),
            ),
        )
        return RewrappedKey(wrapped=anew["CiphertextBlob"], provider_key_id=anew["KeyId"])

    async def describe(self) -> ProviderDescription:
        """Name the master keys by their ARNs."""
        answer = await self._ask(None, partial(self.client.describe_key, KeyId=self.key_id))
        active = answer["KeyMetadata"]["Arn"]
        return ProviderDescription(
            name=PROVIDER_NAME, active_key_id=active, key_ids=tuple(dict.fromkeys((active, *self.earlier)))
        )

    async def rotate(self) -> str:
        """Give the master key new material; its id stays, and AWS keeps the material before it."""
        return (await self._ask(None, partial(self.client.rotate_key_on_demand, KeyId=self.key_id)))["KeyId"]

    async def destroy(self, provider_key_id: str) -> None:
        """Have an earlier master key destroyed, seven days from now."""
        described = await self.describe()
        if provider_key_id == described.active_key_id:
            raise KeyUnavailable(f"The master key {provider_key_id} is the active one and is not destroyed.")
        if provider_key_id not in described.key_ids:
            raise KeyUnavailable(f"There is no master key {provider_key_id} among this store's.")
        await self._ask(
            None,
            partial(self.client.schedule_key_deletion, KeyId=provider_key_id, PendingWindowInDays=_WAITING_DAYS),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await asyncio.to_thread(self.client.close)

    async def _ask(self, context: KeyContext | None, call: Callable[[], Result]) -> Result:
        try:
            return await asyncio.to_thread(call)
        except ClientError as error:
            raise self._said(context, error.response.get("Error", {}).get("Code", "")) from None
        except BotoCoreError as error:
            raise KeyProviderUnavailable(f"AWS KMS could not be asked ({type(error).__name__}).") from None

    def _said(self, context: KeyContext | None, code: str) -> AgentMemError:
        if context is not None and code in _OF_OTHERS:
            return does_not_open(context)
        if code in _NOT_TO_BE_USED:
            return KeyUnavailable(
                f"AWS KMS does not let the master key be used ({code}).",
                hint="Enable the key, or allow this service to use it.",
            )
        return KeyProviderUnavailable(f"AWS KMS refused ({code or 'no reason given'}).")


def _bound(context: KeyContext) -> Mapping[str, str]:
    return {
        "agentmem:organization": str(context.organization_id),
        "agentmem:key": str(context.key_id),
        "agentmem:purpose": context.purpose.value,
    }
