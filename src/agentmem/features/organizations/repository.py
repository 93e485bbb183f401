"""All SQL about organizations, their settings and the registry of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from agentmem.errors import NotFound
from agentmem.features.organizations.tables import organization_directory, organization_settings, organizations
from agentmem.foundation.authorization.caller import Limits
from agentmem.foundation.database.system import SystemTransaction
from agentmem.foundation.database.tables import encryption_keys
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.encryption.keyring import WrappedKey
from agentmem.kit.ids import OrganizationId
from agentmem.kit.versions import require_version
from agentmem.schemas.organizations import Organization, OrganizationLimits, OrganizationStatus

SETTINGS: Final = organization_settings
DIRECTORY: Final = organization_directory
NAMED: Final = "The organization"
AnyTransaction = Transaction | SystemTransaction


async def insert_organization(tx: Transaction, name: str, limits: Limits) -> bool:
    """Write the caller's organization with its settings and its place in the registry, and say whether it is new."""
    own = {"organization_id": tx.organization_id}
    written = await tx.execute(
        upsert(organizations).on_conflict_do_nothing().returning(organizations.c.organization_id),
        {**own, "name": name, "created_at": tx.now},
    )
    if written.first() is None:
        return False
    settings = {
        "display_name": name,
        "max_memories": limits.memories,
        "max_storage_bytes": limits.storage_bytes,
        "requests_per_minute": limits.requests_per_minute,
        "updated_at": tx.now,
    }
    await tx.execute(insert(SETTINGS), {**own, **settings})
    # An id that is made of a name can come again after its organization was erased: the registry then begins anew.
    anew = {"created_at": tx.now, "purge_after": None, "erased_at": None}
    entry = upsert(DIRECTORY)
    entered = await tx.execute(
        entry.on_conflict_do_update(
            index_elements=["organization_id"],
            set_={name: entry.excluded[name] for name in anew},
            where=DIRECTORY.c.erased_at.is_not(None),
        ).returning(DIRECTORY.c.organization_id),
        {**own, **anew},
    )
    # While the one before is being erased there is no other: its rows would be erased with the old ones.
    return entered.first() is not None


async def insert_keys(tx: Transaction, wrapped: list[WrappedKey]) -> None:
    """Write the organization's keys, wrapped."""
    rows = [{item.name: getattr(key, item.name) for item in fields(key)} for key in wrapped]
    await tx.execute(insert(encryption_keys), rows)


async def fetch_name(tx: Transaction) -> str:
    """Read the organization's name."""
    return str((await tx.execute(select(organizations.c.name).where(tx.own(organizations)))).scalar_one())


async def fetch_organization(
    tx: AnyTransaction, organization_id: OrganizationId, *, lock: bool = False
) -> Organization:
    """Read the organization as it stands, or raise :class:`NotFound`; with a lock it stays so until the end."""
    statement = (
        select(SETTINGS, organizations.c.created_at)
        .join(organizations, organizations.c.organization_id == SETTINGS.c.organization_id)
        .where(tx.own(SETTINGS), tx.own(organizations))
    )
    row = (await tx.execute(statement.with_for_update(of=SETTINGS) if lock else statement)).first()
    if row is None:
        raise NotFound(f"There is no organization {organization_id}.")
    return _to_organization(row)


async def fetch_suspended_for(tx: Transaction) -> str | None:
    """Read for what an organization that is being deleted was suspended before, if it was."""
    row = (await tx.execute(select(SETTINGS.c.suspended_for).where(tx.own(SETTINGS)))).first()
    return None if row is None else row.suspended_for


async def change_settings(tx: Transaction, values: Mapping[str, object], if_version: int | None) -> Organization:
    """Change the settings and count the version up; raises :class:`VersionConflict`."""
    statement = (
        update(SETTINGS)
        .where(tx.own(SETTINGS))
        .values({**values, "updated_at": tx.now, "version": SETTINGS.c.version + 1})
    )
    if if_version is not None:
        statement = statement.where(SETTINGS.c.version == if_version)
    if (await tx.execute(statement)).rowcount != 1:
        found = await fetch_organization(tx, tx.organization_id)
        require_version(NAMED, found.version, if_version)
    return await fetch_organization(tx, tx.organization_id)


async def set_purge(tx: Transaction, moment: datetime | None) -> None:
    """Write into the registry when the organization is to be erased; ``None`` takes it back."""
    await tx.execute(update(DIRECTORY).where(tx.own(DIRECTORY)).values(purge_after=moment))


async def fetch_ids(tx: SystemTransaction, after: OrganizationId | None, limit: int) -> list[OrganizationId]:
    """Read the ids of up to ``limit`` organizations that are not erased, in order."""
    statement = select(DIRECTORY.c.organization_id).where(DIRECTORY.c.erased_at.is_(None))
    if after is not None:
        statement = statement.where(DIRECTORY.c.organization_id > after)
    rows = await tx.execute(statement.order_by(DIRECTORY.c.organization_id).limit(limit))
    return [OrganizationId(found) for found in rows.scalars()]


async def fetch_due(tx: SystemTransaction) -> list[OrganizationId]:
    """Read the ids of the organizations whose grace has ended, and which are not erased yet."""
    statement = select(DIRECTORY.c.organization_id).where(
        DIRECTORY.c.erased_at.is_(None), DIRECTORY.c.purge_after <= tx.now
    )
    return [OrganizationId(found) for found in (await tx.execute(statement)).scalars()]


async def fetch_erased(tx: SystemTransaction, ids: Sequence[OrganizationId]) -> list[OrganizationId]:
    """Read which of these organizations are erased."""
    statement = select(DIRECTORY.c.organization_id).where(
        DIRECTORY.c.organization_id.in_(ids), DIRECTORY.c.erased_at.is_not(None)
    )
    return [OrganizationId(found) for found in (await tx.execute(statement)).scalars()]


def _to_organization(row: Row[Any]) -> Organization:
    """Map a row of settings to the view of it."""
    return Organization(
        id=row.organization_id,
        name=row.display_name,
        status=OrganizationStatus(row.status),
        status_reason=row.status_reason,
        purge_after=row.purge_after,
        limits=OrganizationLimits(
            memories=row.max_memories,
            storage_bytes=row.max_storage_bytes,
            requests_per_minute=row.requests_per_minute,
        ),
        require_if_match=row.require_if_match,
        max_key_days=row.max_key_days,
        unused_key_days=row.unused_key_days,
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
    )
