"""All SQL about organizations."""

from __future__ import annotations

from dataclasses import fields

from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from agentmem.features.organizations.tables import organizations
from agentmem.foundation.database.tables import encryption_keys
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.encryption.keyring import WrappedKey


async def insert_organization(tx: Transaction, name: str) -> bool:
    """Write the caller's organization, and say whether it is new."""
    written = await tx.execute(
        upsert(organizations).on_conflict_do_nothing().returning(organizations.c.organization_id),
        {
            "organization_id": tx.organization_id,
            "name": name,
            "created_at": tx.now,
        },
    )
    return written.first() is not None


async def insert_keys(tx: Transaction, wrapped: list[WrappedKey]) -> None:
    """Write the organization's keys, wrapped."""
    rows = [{item.name: getattr(key, item.name) for item in fields(key)} for key in wrapped]
    await tx.execute(insert(encryption_keys), rows)


async def fetch_name(tx: Transaction) -> str:
    """Read the organization's name."""
    return str((await tx.execute(select(organizations.c.name).where(tx.own(organizations)))).scalar_one())
