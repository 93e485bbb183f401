"""An organization's keys: made, stored as rows, unwrapped, rotated, and of no use to anybody else."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from agentmem.errors import DecryptionFailed, KeyUnavailable
from agentmem.foundation.encryption.keyring import (
    WrappedKey,
    create_key,
    create_organization_keys,
    rewrap_key,
    unwrap_organization_keys,
)
from agentmem.foundation.encryption.providers import masterfile
from agentmem.foundation.encryption.providers.file import FileKeyProvider
from agentmem.foundation.encryption.providers.masterfile import MasterKey, MasterKeys
from agentmem.foundation.encryption.providers.port import GeneratedKey, KeyContext, KeyPurpose
from agentmem.foundation.encryption.seal import Location
from agentmem.foundation.encryption.secret import SecretKey
from agentmem.kit.ids import KeyId, OrganizationId

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
ORGANIZATION = OrganizationId(UUID(int=1))
OTHER_ORGANIZATION = OrganizationId(UUID(int=2))
PLACE = Location(table="memories", column="content", row_id=UUID(int=7), row_version=1)


@pytest.fixture
async def provider(tmp_path: Path) -> FileKeyProvider:
    return await FileKeyProvider.open(tmp_path / "master.keys")


@pytest.fixture
async def rows(provider: FileKeyProvider) -> tuple[WrappedKey, WrappedKey]:
    """The data key and the index secret of the organization."""
    return await create_organization_keys(provider, ORGANIZATION, now=NOW)


async def test_unwrapped_again_the_keys_open_and_hash_as_before(
    provider: FileKeyProvider, rows: tuple[WrappedKey, WrappedKey]
) -> None:
    first = await unwrap_organization_keys(provider, ORGANIZATION, rows)
    second = await unwrap_organization_keys(provider, ORGANIZATION, reversed(rows))
    assert second.keyring.open(PLACE, first.keyring.seal(PLACE, b"Tea")) == b"Tea"
    assert second.index.term_hash("tea") == first.index.term_hash("tea")


async def test_a_rotated_data_key_seals_what_is_new_and_leaves_blobs_and_hashes_as_they_are(
    provider: FileKeyProvider, rows: tuple[WrappedKey, WrappedKey]
) -> None:
    before = await unwrap_organization_keys(provider, ORGANIZATION, rows)
    blob = before.keyring.seal(PLACE, b"Tea")
    fresh = await create_key(provider, ORGANIZATION, KeyPurpose.DATA, now=LATER)
    after = await unwrap_organization_keys(provider, ORGANIZATION, (fresh, replace(rows[0], retired_at=LATER), rows[1]))
    assert after.keyring.active.key_id == fresh.key_id
    assert after.keyring.open(PLACE, blob) == b"Tea"
    assert after.index.term_hash("tea") == before.index.term_hash("tea")
    assert after.index.content_digest(("alice",), "Tea") == before.index.content_digest(("alice",), "Tea")


async def test_of_several_data_keys_in_use_the_newest_is_active(
    provider: FileKeyProvider, rows: tuple[WrappedKey, WrappedKey]
) -> None:
    newer = await create_key(provider, ORGANIZATION, KeyPurpose.DATA, now=LATER)
    for order in ((newer, *rows), (*rows, newer)):
        keys = await unwrap_organization_keys(provider, ORGANIZATION, order)
        assert keys.keyring.active.key_id == newer.key_id


async def test_a_key_of_one_subject_opens_and_never_becomes_the_active_one(
    provider: FileKeyProvider, rows: tuple[WrappedKey, WrappedKey]
) -> None:
    own = await create_key(provider, ORGANIZATION, KeyPurpose.DATA, now=LATER, subject="alice")
    as_if_general = await unwrap_organization_keys(provider, ORGANIZATION, (*rows, replace(own, subject=None)))
    blob = as_if_general.keyring.seal(PLACE, b"Tea")
    keys = await unwrap_organization_keys(provider, ORGANIZATION, (*rows, own))
    assert keys.keyring.active.key_id == rows[0].key_id
    assert keys.keyring.open(PLACE, blob) == b"Tea"


async def test_two_organizations_cannot_open_or_find_each_others_content(
    provider: FileKeyProvider, rows: tuple[WrappedKey, WrappedKey]
) -> None:
    ours = await unwrap_organization_keys(provider, ORGANIZATION, rows)
    other_rows = await create_organization_keys(provider, OTHER_ORGANIZATION, now=NOW)
    theirs = await unwrap_organization_keys(provider, OTHER_ORGANIZATION, other_rows)
    with pytest.raises(DecryptionFailed):
        theirs.keyring.open(PLACE, ours.keyring.seal(PLACE, b"Tea"))
    assert theirs.index.term_hash("tea") != ours.index.term_hash("tea")
    with pytest.raises(KeyUnavailable, match="another organization"):
        await unwrap_organization_keys(provider, OTHER_ORGANIZATION, rows)


async def test_a_key_row_given_to_another_organization_id_or_purpose_does_not_unwrap(
    provider: FileKeyProvider, rows: tuple[WrappedKey, WrappedKey]
) -> None:
    data, index = rows
    stolen = [replace(row, organization_id=OTHER_ORGANIZATION) for row in rows]
    with pytest.raises(DecryptionFailed):
        await unwrap_organization_keys(provider, OTHER_ORGANIZATION, stolen)
    with pytest.raises(DecryptionFailed):
        await unwrap_organization_keys(provider, ORGANIZATION, (replace(data, key_id=KeyId(UUID(int=9))), index))
    with pytest.raises(DecryptionFailed):
        await unwrap_organization_keys(
            provider,
            ORGANIZATION,
            (replace(data, purpose=KeyPurpose.INDEX), replace(index, purpose=KeyPurpose.DATA)),
        )


async def test_a_wrapped_key_with_any_bit_flipped_or_cut_short_does_not_unwrap(
    provider: FileKeyProvider, rows: tuple[WrappedKey, WrappedKey]
) -> None:
    wrapped = rows[0].wrapped
    for bit in range(len(wrapped) * 8):
        damaged = bytearray(wrapped)
        damaged[bit // 8] ^= 1 << bit % 8
        # A changed id of the master key names one that is not there.
        error = KeyUnavailable if 2 <= bit // 8 < 18 else DecryptionFailed
        with pytest.raises(error):
            await provider.decrypt(bytes(damaged), rows[0].context)
    for damage in (b"", wrapped[:-1], wrapped + b"\x00"):
        with pytest.raises(DecryptionFailed, match="is damaged"):
            await provider.decrypt(damage, rows[0].context)


async def test_a_retired_index_secret_is_no_longer_used(
    provider: FileKeyProvider, rows: tuple[WrappedKey, WrappedKey]
) -> None:
    data, index = rows
    before = await unwrap_organization_keys(provider, ORGANIZATION, rows)
    fresh = await create_key(provider, ORGANIZATION, KeyPurpose.INDEX, now=LATER)
    after = await unwrap_organization_keys(provider, ORGANIZATION, (data, replace(index, retired_at=LATER), fresh))
    assert after.index.term_hash("tea") != before.index.term_hash("tea")


class RememberingProvider:
    """A provider that keeps hold of the keys in clear that it gives away, as nobody should."""

    def __init__(self, provider: FileKeyProvider) -> None:
        self.provider = provider
        self.given: list[SecretKey] = []
        self.reencrypt = provider.reencrypt
        self.describe = provider.describe
        self.rotate = provider.rotate
        self.destroy = provider.destroy
        self.aclose = provider.aclose

    async def generate_data_key(self, context: KeyContext) -> GeneratedKey:
        generated = await self.provider.generate_data_key(context)
        self.given.append(generated.key)
        return generated

    async def decrypt(self, wrapped: bytes, context: KeyContext) -> SecretKey:
        self.given.append(await self.provider.decrypt(wrapped, context))
        return self.given[-1]


async def test_keys_in_clear_are_overwritten_once_they_are_made_or_set_up(provider: FileKeyProvider) -> None:
    remembering = RememberingProvider(provider)
    rows = await create_organization_keys(remembering, ORGANIZATION, now=NOW)
    await unwrap_organization_keys(remembering, ORGANIZATION, rows)
    assert [bytes(key.reveal()) for key in remembering.given] == [bytes(32)] * 4


async def test_missing_keys_are_named_and_said_to_be_restored(
    provider: FileKeyProvider, rows: tuple[WrappedKey, WrappedKey]
) -> None:
    data, index = rows
    for given, what in (
        ((), "has no active data key"),
        ((index,), "has no active data key"),
        ((replace(data, retired_at=LATER), index), "has no active data key"),
        ((data,), "one active index secret and has 0"),
        ((data, index, replace(index, key_id=KeyId(UUID(int=9)))), "one active index secret and has 2"),
    ):
        with pytest.raises(KeyUnavailable, match=f"Organization {ORGANIZATION} .*{what}.*Restore"):
            await unwrap_organization_keys(provider, ORGANIZATION, given)


async def test_a_key_of_another_provider_is_refused_by_name(
    provider: FileKeyProvider, rows: tuple[WrappedKey, WrappedKey]
) -> None:
    with pytest.raises(KeyUnavailable, match="by the key provider 'aws', and 'file' is set up"):
        await unwrap_organization_keys(provider, ORGANIZATION, [replace(row, provider="aws") for row in rows])


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def write_master_keys(path: Path, *states: str) -> tuple[str, ...]:
    """Put master keys 1, 2, ... of these states into the file, and give their ids."""
    keys = tuple(
        MasterKey(
            key_id=UUID(int=number),
            active=state == "active",
            created_at="2026-01-02T03:04:05Z",
            key=SecretKey(bytearray([number]) * 32),
        )
        for number, state in enumerate(states, start=1)
    )
    path.write_text(masterfile.render(MasterKeys(keys=keys)))
    path.chmod(0o600)
    return tuple(str(key.key_id) for key in keys)


async def test_rewrapped_by_a_new_master_key_everything_opens_and_the_old_one_can_be_destroyed(tmp_path: Path) -> None:
    path = tmp_path / "master.keys"
    write_master_keys(path, "active")
    provider = FileKeyProvider(path)
    rows = await create_organization_keys(provider, ORGANIZATION, now=NOW)
    keys = await unwrap_organization_keys(provider, ORGANIZATION, rows)
    blob = keys.keyring.seal(PLACE, b"Tea")

    old, new = write_master_keys(path, "retired", "active")
    rewrapped = [await rewrap_key(provider, row) for row in rows]
    assert {row.provider_key_id for row in rows} == {old}
    assert {row.provider_key_id for row in rewrapped} == {new}
    await provider.destroy(old)

    assert (await provider.describe()).key_ids == (new,)
    after = await unwrap_organization_keys(provider, ORGANIZATION, rewrapped)
    assert after.keyring.open(PLACE, blob) == b"Tea"
    assert after.index.term_hash("tea") == keys.index.term_hash("tea")
    with pytest.raises(KeyUnavailable, match=f"master key {old}, which is not in"):
        await unwrap_organization_keys(provider, ORGANIZATION, rows)


async def test_the_active_and_an_unknown_master_key_are_not_destroyed(tmp_path: Path) -> None:
    path = tmp_path / "master.keys"
    _, active = write_master_keys(path, "retired", "active")
    before = path.read_bytes()
    provider = FileKeyProvider(path)
    with pytest.raises(KeyUnavailable, match="is the active one"):
        await provider.destroy(active)
    with pytest.raises(KeyUnavailable, match="There is no master key unknown"):
        await provider.destroy("unknown")
    assert path.read_bytes() == before
    assert names_in(tmp_path) == [path.name]  # no draft is left


async def test_master_keys_destroyed_at_the_same_time_are_all_gone(tmp_path: Path) -> None:
    path = tmp_path / "master.keys"
    *retired, active = write_master_keys(path, *["retired"] * 12, "active")
    provider = FileKeyProvider(path)
    await asyncio.gather(*(provider.destroy(key_id) for key_id in retired))
    assert (await provider.describe()).key_ids == (active,)
