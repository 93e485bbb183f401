"""The key provider that the settings name."""

from __future__ import annotations

from typing import TypeVar

from agentmem.errors import ConfigurationError
from agentmem.foundation.encryption.providers.file import FileKeyProvider
from agentmem.foundation.encryption.providers.guarded import GuardedProvider
from agentmem.foundation.encryption.providers.port import KeyProvider
from agentmem.foundation.encryption.providers.vault import VaultKeyProvider
from agentmem.foundation.resilience.guarded import Guarded
from agentmem.settings import PREFIX, Settings

Value = TypeVar("Value")


async def open_key_provider(settings: Settings, guarded: Guarded) -> KeyProvider:
    """Open the provider, and see that its active master key can be used.

    Raises ``ConfigurationError`` when a setting of it is missing, and what the provider raises.
    """
    if settings.key_provider == "file":
        return await FileKeyProvider.open(settings.master_key_file)
    provider = GuardedProvider(_elsewhere(settings), guarded)
    try:
        await provider.describe()
    except BaseException:
        await provider.aclose()
        raise
    return provider


def _elsewhere(settings: Settings) -> KeyProvider:
    # Read where one is asked for: what speaks to AWS takes a start longer than most commands.
    if settings.key_provider == "aws":
        from agentmem.foundation.encryption.providers.aws import AwsKeyProvider  # noqa: PLC0415

        return AwsKeyProvider.open(
            _needed(settings.aws_key, "aws_key"),
            earlier=settings.aws_earlier_keys,
            region=settings.aws_region,
            endpoint=settings.aws_endpoint,
        )
    if settings.key_provider == "vault":
        return VaultKeyProvider.open(
            _needed(settings.vault_url, "vault_url"),
            token=_needed(settings.vault_token, "vault_token"),
            key=settings.vault_key,
            mount=settings.vault_mount,
        )
    from agentmem.foundation.encryption.providers.pkcs11 import HsmKeyProvider  # noqa: PLC0415

    return HsmKeyProvider.open(
        _needed(settings.pkcs11_module, "pkcs11_module"),
        token=_needed(settings.pkcs11_token, "pkcs11_token"),
        pin=_needed(settings.pkcs11_pin, "pkcs11_pin"),
        label=settings.pkcs11_key,
    )


def _needed(value: Value | None, name: str) -> Value:
    if value is None:
        raise ConfigurationError(f"The key provider needs {PREFIX}{name.upper()}, which is not set.")
    return value
