"""The keys of an organization: made and wrapped by a key provider, stored as rows, unwrapped for use.

An organization has data keys, of which one is active, and one index secret. A key row is useless without the provider's
master key, and the provider binds each to its organization, id and purpose.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NoReturn

from agentmem.errors import KeyUnavailable
from agentmem.foundation.encryption.index import IndexKeys
from agentmem.foundation.encryption.providers.port import KeyContext, KeyProvider, KeyPurpose
from agentmem.foundation.encryption.seal import Keyring, SealingKey
from agentmem.kit.ids import KeyId, OrganizationId, uuid7


@dataclass(frozen=True, kw_only=True, slots=True)
class WrappedKey:
    """A key of an organization as its row keeps it: wrapped by a master key of ``provider``.

    ``subject`` names the person whose content alone the key seals, ``None`` for everybody's. A retired key
    (``retired_at``) seals nothing new and still opens what it sealed.
    """

    organization_id: OrganizationId
    key_id: KeyId
    purpose: KeyPurpose
    subject: str | None = None
    wrapped: bytes = field(repr=False)
    provider: str
    provider_key_id: str
    created_at: datetime
    retired_at: datetime | None = None

    @property
    def context(self) -> KeyContext:
        """What the wrapping is bound to."""
        return KeyContext(organization_id=self.organization_id, key_id=self.key_id, purpose=self.purpose)


@dataclass(frozen=True, kw_only=True, slots=True)
class OrganizationKeys:
    """An organization's keys, ready for use: ``keyring`` seals and opens, ``index`` hashes."""

    organization_id: OrganizationId
    keyring: Keyring
    index: IndexKeys


async def create_key(
    provider: KeyProvider,
    organization_id: OrganizationId,
    purpose: KeyPurpose,
    *,
    now: datetime,
    subject: str | None = None,
) -> WrappedKey:
    """Make a key and give its row; the key itself is forgotten at once. Raises ``KeyUnavailable``."""
    context = KeyContext(organization_id=organization_id, key_id=KeyId(uuid7()), purpose=purpose)
    generated = await provider.generate_data_key(context)
    generated.key.wipe()
    return WrappedKey(
        organization_id=organization_id,
        key_id=context.key_id,
        purpose=purpose,
        subject=subject,
        wrapped=generated.wrapped,
        provider=(await provider.describe()).name,
        provider_key_id=generated.provider_key_id,
        created_at=now,
    )


async def create_organization_keys(
    provider: KeyProvider, organization_id: OrganizationId, *, now: datetime
) -> tuple[WrappedKey, WrappedKey]:
    """Make the first keys of a new organization: its data key and its index secret, in this order."""
    return (
        await create_key(provider, organization_id, KeyPurpose.DATA, now=now),
        await create_key(provider, organization_id, KeyPurpose.INDEX, now=now),
    )


async def unwrap_organization_keys(
    provider: KeyProvider, organization_id: OrganizationId, rows: Iterable[WrappedKey]
) -> OrganizationKeys:
    """Unwrap all key rows of an organization, in any order.

    The newest data key that is neither retired nor a subject's becomes the active one. Raises ``KeyUnavailable`` when
    a key that must be there is missing or its master key is, ``DecryptionFailed`` when a row was changed.
    """
    rows = sorted(rows, key=lambda row: (row.created_at, row.key_id))
    data = [row for row in rows if row.purpose is KeyPurpose.DATA]
    in_use = [row for row in data if row.retired_at is None and row.subject is None]
    index = [row for row in rows if row.purpose is KeyPurpose.INDEX and row.retired_at is None]
    if not in_use:
        _fail_missing(organization_id, "has no active data key")
    if len(index) != 1:
        _fail_missing(organization_id, f"must have one active index secret and has {len(index)}")
    await _check_rows(provider, organization_id, rows)
    keys = {row.key_id: await _unwrap_data_key(provider, row) for row in data}
    active = keys.pop(in_use[-1].key_id)
    secret = await provider.decrypt(index[0].wrapped, index[0].context)
    try:
        index_keys = IndexKeys(organization_id=organization_id, secret=secret)
    finally:
        secret.wipe()
    return OrganizationKeys(
        organization_id=organization_id, keyring=Keyring(active=active, others=keys.values()), index=index_keys
    )


async def rewrap_key(provider: KeyProvider, row: WrappedKey) -> WrappedKey:
    """Wrap a key anew with the provider's active master key; what it sealed stays as it is."""
    rewrapped = await provider.reencrypt(row.wrapped, row.context)
    return replace(row, wrapped=rewrapped.wrapped, provider_key_id=rewrapped.provider_key_id)


async def _unwrap_data_key(provider: KeyProvider, row: WrappedKey) -> SealingKey:
    key = await provider.decrypt(row.wrapped, row.context)
    try:
        return SealingKey(organization_id=row.organization_id, key_id=row.key_id, key=key)
    finally:
        key.wipe()


async def _check_rows(provider: KeyProvider, organization_id: OrganizationId, rows: Sequence[WrappedKey]) -> None:
    name = (await provider.describe()).name
    for row in rows:
        if row.organization_id != organization_id:
            raise KeyUnavailable(f"Key {row.key_id} belongs to another organization than {organization_id}.")
        if row.provider != name:
            raise KeyUnavailable(
                f"Key {row.key_id} was wrapped by the key provider {row.provider!r}, and {name!r} is set up.",
                hint="Set up the provider that wrapped it.",
            )


def _fail_missing(organization_id: OrganizationId, what: str) -> NoReturn:
    raise KeyUnavailable(
        f"Organization {organization_id} {what}.", hint="Restore its rows of encryption_keys from a backup."
    )
