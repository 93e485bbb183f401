"""What every key provider does: wrap, unwrap for the same context alone, rotate, and refuse what may not be.

AWS KMS is moto's, the hardware module is SoftHSM, Vault is a fake (``tests/support/vault_fake.py``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import boto3
import pkcs11
import pytest
from pydantic import SecretStr

from agentmem.errors import ConfigurationError, DecryptionFailed, KeyProviderUnavailable, KeyUnavailable
from agentmem.foundation.encryption.providers.aws import AwsKeyProvider
from agentmem.foundation.encryption.providers.file import FileKeyProvider
from agentmem.foundation.encryption.providers.port import KeyContext, KeyProvider, KeyPurpose
from agentmem.foundation.encryption.providers.vault import VaultKeyProvider
from agentmem.kit.ids import KeyId, OrganizationId
from tests.support.key_services import LABEL, PIN, SOFTHSM, hsm, master_key_disabled, serving_aws
from tests.support.key_services import TOKEN as HSM_TOKEN
from tests.support.vault_fake import TOKEN, TransitKey, Vault, serving_vault

CONTEXT = KeyContext(organization_id=OrganizationId(UUID(int=1)), key_id=KeyId(UUID(int=2)), purpose=KeyPurpose.DATA)
OTHERS = [
    replace(CONTEXT, organization_id=OrganizationId(UUID(int=9))),
    replace(CONTEXT, key_id=KeyId(UUID(int=9))),
    replace(CONTEXT, purpose=KeyPurpose.INDEX),
]
REGION = "eu-central-1"


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    with serving_aws() as url:
        yield url


@pytest.fixture
def vault() -> Iterator[Vault]:
    with serving_vault() as running:
        yield running


def in_vault(vault: Vault, token: str = TOKEN) -> VaultKeyProvider:
    return VaultKeyProvider.open(vault.url, token=SecretStr(token), key="agentmem")


def in_aws(url: str, *, earlier: tuple[str, ...] = ()) -> AwsKeyProvider:
    key_id = boto3.client("kms", region_name=REGION, endpoint_url=url).create_key()["KeyMetadata"]["Arn"]
    return AwsKeyProvider.open(key_id, earlier=earlier, region=REGION, endpoint=url)


@pytest.fixture(params=["file", "aws", "vault", "pkcs11"])
async def provider(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[KeyProvider]:
    made: KeyProvider
    if request.param == "file":
        made = await FileKeyProvider.open(tmp_path / "master.keys")
    elif request.param == "aws":
        made = in_aws(request.getfixturevalue("aws"))
    elif request.param == "vault":
        made = in_vault(request.getfixturevalue("vault"))
    else:
        request.getfixturevalue("hsm_token")
        made = hsm()
    await made.describe()
    yield made
    await made.aclose()


async def test_a_key_unwraps_to_what_was_made(provider: KeyProvider) -> None:
    made = await provider.generate_data_key(CONTEXT)
    opened = await provider.decrypt(made.wrapped, CONTEXT)
    assert opened.reveal() == made.key.reveal()
    assert bytes(made.key.reveal()) not in made.wrapped
    assert made.provider_key_id == (await provider.describe()).active_key_id


async def test_two_keys_are_different(provider: KeyProvider) -> None:
    first, second = await provider.generate_data_key(CONTEXT), await provider.generate_data_key(CONTEXT)
    assert first.key.reveal() != second.key.reveal()


@pytest.mark.parametrize("other", OTHERS, ids=["organization", "key", "purpose"])
async def test_a_key_unwraps_for_no_other_context(provider: KeyProvider, other: KeyContext) -> None:
    made = await provider.generate_data_key(CONTEXT)
    with pytest.raises(DecryptionFailed):
        await provider.decrypt(made.wrapped, other)
    with pytest.raises(DecryptionFailed):
        await provider.reencrypt(made.wrapped, other)


async def test_a_wrapped_key_that_was_changed_does_not_unwrap(provider: KeyProvider) -> None:
    wrapped = (await provider.generate_data_key(CONTEXT)).wrapped
    for damaged in (wrapped[:-1] + bytes((wrapped[-1] ^ 1,)), wrapped[:-9], b"", b"nonsense"):
        with pytest.raises(DecryptionFailed):
            await provider.decrypt(damaged, CONTEXT)


async def test_what_was_wrapped_before_a_rotation_unwraps_after_it_and_is_wrapped_anew(provider: KeyProvider) -> None:
    before = await provider.generate_data_key(CONTEXT)
    fresh = await provider.rotate()
    assert (await provider.describe()).active_key_id == fresh
    assert (await provider.decrypt(before.wrapped, CONTEXT)).reveal() == before.key.reveal()
    anew = await provider.reencrypt(before.wrapped, CONTEXT)
    assert anew.provider_key_id == fresh
    assert anew.wrapped != before.wrapped
    assert (await provider.decrypt(anew.wrapped, CONTEXT)).reveal() == before.key.reveal()
    assert (await provider.generate_data_key(CONTEXT)).provider_key_id == fresh


async def test_the_active_master_key_is_not_destroyed_and_an_unknown_one_is_named(provider: KeyProvider) -> None:
    described = await provider.describe()
    with pytest.raises(KeyUnavailable, match="is the active one"):
        await provider.destroy(described.active_key_id)
    with pytest.raises(KeyUnavailable, match="no master key unknown"):
        await provider.destroy("unknown")
    assert await provider.describe() == described


@pytest.mark.parametrize("provider", ["file", "vault", "pkcs11"], indirect=True)
async def test_a_key_wrapped_by_a_destroyed_master_key_is_lost_and_others_are_not(provider: KeyProvider) -> None:
    while len((described := await provider.describe()).key_ids) > 1:  # the token of the tests before it
        await provider.destroy(described.key_ids[-1])
    old = await provider.generate_data_key(CONTEXT)
    await provider.rotate()
    anew = await provider.reencrypt(old.wrapped, CONTEXT)
    await provider.destroy(old.provider_key_id)
    assert old.provider_key_id not in (await provider.describe()).key_ids
    with pytest.raises(KeyUnavailable):
        await provider.decrypt(old.wrapped, CONTEXT)
    assert (await provider.decrypt(anew.wrapped, CONTEXT)).reveal() == old.key.reveal()


async def test_a_disabled_key_of_a_hardware_module_refuses_and_enabled_again_unwraps(hsm_token: None) -> None:
    """Moto still decrypts with a disabled key: SoftHSM has to show this."""
    provider = hsm()
    await provider.describe()
    made = await provider.generate_data_key(CONTEXT)
    with master_key_disabled():
        for question in (provider.decrypt, provider.reencrypt):
            with pytest.raises(KeyUnavailable, match="is disabled"):
                await question(made.wrapped, CONTEXT)
    assert (await provider.decrypt(made.wrapped, CONTEXT)).reveal() == made.key.reveal()
    await provider.aclose()


async def test_a_master_key_never_leaves_the_hardware_module(hsm_token: None) -> None:
    provider = hsm()
    await provider.describe()
    with pkcs11.lib(str(SOFTHSM)).get_token(token_label=HSM_TOKEN).open(user_pin=PIN) as session:
        key = next(iter(list(session.get_objects({pkcs11.Attribute.LABEL: LABEL}))))
        with pytest.raises(pkcs11.exceptions.AttributeSensitive):
            key[pkcs11.Attribute.VALUE]
    await provider.aclose()


async def test_what_another_kms_key_has_wrapped_is_refused_until_it_is_named(aws: str) -> None:
    foreign = in_aws(aws)
    made = await foreign.generate_data_key(CONTEXT)
    with pytest.raises(DecryptionFailed, match="none of this store's master keys"):
        await in_aws(aws).decrypt(made.wrapped, CONTEXT)
    told = in_aws(aws, earlier=(foreign.key_id,))
    assert (await told.decrypt(made.wrapped, CONTEXT)).reveal() == made.key.reveal()


async def test_a_kms_that_does_not_answer_is_unavailable_and_no_secret_is_told() -> None:
    provider = AwsKeyProvider.open("alias/none", region=REGION, endpoint="http://127.0.0.1:1")
    with pytest.raises(KeyProviderUnavailable, match="could not be asked"):
        await provider.describe()


async def test_a_sealed_vault_is_unavailable_and_a_refused_token_is_told(vault: Vault) -> None:
    provider, refused = in_vault(vault), in_vault(vault, token="hvs.wrong")
    vault.down = True
    with pytest.raises(KeyProviderUnavailable, match="503"):
        await provider.describe()
    vault.down = False
    with pytest.raises(KeyUnavailable, match="403") as caught:
        await refused.describe()
    assert "hvs.wrong" not in f"{caught.value} {refused!r}"
    await provider.aclose()
    await refused.aclose()


async def test_a_vault_key_that_binds_nothing_is_refused(vault: Vault) -> None:
    vault.keys["agentmem"] = TransitKey(derived=False)
    provider = in_vault(vault)
    with pytest.raises(ConfigurationError, match="is not derived"):
        await provider.describe()
    await provider.aclose()
