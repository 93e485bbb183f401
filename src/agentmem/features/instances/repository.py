"""All SQL about instances; every moment is the database's."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from agentmem.features.instances.model import NewInstance
from agentmem.features.instances.tables import instances
from agentmem.foundation.database.system import SystemTransaction
from agentmem.schemas.instances import Instance, InstanceRole

STALE: Final = timedelta(seconds=15)
"""How long after its last sign of life a process is taken to be alive."""
FORGOTTEN: Final = timedelta(days=1)
"""How long after it one stays on the list that did not end as it should."""


async def note_seen(tx: SystemTransaction, new: NewInstance) -> None:
    """Write that a process is there now, and forget those that were not for a day."""
    values = {
        "instance_id": new.id,
        "role": new.role.value,
        "version": new.version,
        "schema_revision": new.schema_revision,
        "host": new.host,
        "address": new.address,
        "started_at": func.now(),
        "seen_at": func.now(),
    }
    row = insert(instances).values(values)
    seen = {"seen_at": func.now(), "schema_revision": row.excluded.schema_revision}
    await tx.execute(row.on_conflict_do_update(index_elements=[instances.c.instance_id], set_=seen))
    await tx.execute(delete(instances).where(instances.c.seen_at < func.now() - FORGOTTEN))


async def remove(tx: SystemTransaction, instance_id: UUID) -> None:
    """Take a process off the list."""
    await tx.execute(delete(instances).where(instances.c.instance_id == instance_id))


async def fetch_all(tx: SystemTransaction) -> list[Instance]:
    """Read the list, those that started first before the others."""
    alive = (instances.c.seen_at > func.now() - STALE).label("alive")
    rows = await tx.execute(select(instances, alive).order_by(instances.c.started_at, instances.c.instance_id))
    return [
        Instance(
            id=row.instance_id,
            role=InstanceRole(row.role),
            version=row.version,
            schema_revision=row.schema_revision,
            host=row.host,
            address=row.address,
            started_at=row.started_at,
            seen_at=row.seen_at,
            alive=row.alive,
        )
        for row in rows
    ]
