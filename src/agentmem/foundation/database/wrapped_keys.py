"""Rows of ``encryption_keys`` as values."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from agentmem.foundation.encryption.keyring import WrappedKey
from agentmem.foundation.encryption.providers.port import KeyPurpose
from agentmem.kit.ids import KeyId, OrganizationId

KeyRow = Row[Any]  # SQLAlchemy types a row by its statement; the mapper below checks it by use


def to_wrapped_key(row: KeyRow) -> WrappedKey:
    """Map a row."""
    return WrappedKey(
        organization_id=OrganizationId(row.organization_id),
        key_id=KeyId(row.key_id),
        purpose=KeyPurpose(row.purpose),
        subject=row.subject,
        wrapped=row.wrapped,
        provider=row.provider,
        provider_key_id=row.provider_key_id,
        created_at=row.created_at,
        retired_at=row.retired_at,
    )
