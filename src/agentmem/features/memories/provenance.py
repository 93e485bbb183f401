"""All SQL about where memories come from: who wrote them, from what, and what was derived from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, delete, func, literal, or_, select
from sqlalchemy.sql import ColumnElement

from agentmem.errors import QuotaExceeded
from agentmem.features.memories.model import PreparedMemory, StoredVersion
from agentmem.features.memories.tables import memory_parents, memory_provenance
from agentmem.foundation.database.bulk import Rows, as_arrays, insert_arrays
from agentmem.foundation.database.transaction import Transaction
from agentmem.schemas.base import Schema
from agentmem.schemas.memories import Origin, Provenance

_INSERT: Final = insert_arrays(memory_provenance)
_INSERT_PARENTS: Final = insert_arrays(memory_parents)
_SEALED: Final = ("memory_provenance", "source")
_FIRST: Final = 1
_HOUR: Final = timedelta(hours=1)
_CAPPING: Final = 0x63617073  # "caps" in ASCII; the lock's other half is who is capped


class _Sealed(Schema):
    """What of a source is sealed."""

    uri: str | None = None
    digest: str | None = None


def provenance_rows(tx: Transaction, written: Sequence[tuple[StoredVersion, PreparedMemory]]) -> list[Rows]:
    """Make the rows that say who writes these memories, and from what; those they are about are held."""
    rows, parents = [], []
    for version, prepared in written:
        source, memory_id = prepared.new.source, version.record.id
        said = None if source is None else _Sealed(uri=source.uri, digest=source.digest)
        seal = tx.ring.sealer(*_SEALED, version.record.user_id)
        rows.append(
            {
                "memory_id": memory_id,
                "principal": tx.caller.principal_id,
                "api_key": tx.caller.api_key_id,
                "request_id": tx.caller.request_id,
                "origin": version.record.origin,
                "source": None if said in {None, _Sealed()} else seal(memory_id, _FIRST, _dumped(said)),
                "recorded_at": tx.now,
            }
        )
        parents += [
            {"parent_id": parent_id, "memory_id": memory_id}
            for parent_id in set(() if source is None else source.parents)
        ]
    made = [Rows(statement=_INSERT, values=as_arrays(memory_provenance, rows))]
    return [*made, Rows(statement=_INSERT_PARENTS, values=as_arrays(memory_parents, parents))] if parents else made


def _dumped(said: _Sealed | None) -> bytes:
    return b"" if said is None else said.model_dump_json(exclude_none=True).encode()


async def fetch_provenance(tx: Transaction, first: StoredVersion) -> Provenance:
    """Read where a memory comes from, given its first version."""
    record = first.record
    row = (
        await tx.execute(
            select(memory_provenance).where(tx.own(memory_provenance), memory_provenance.c.memory_id == record.id)
        )
    ).first()
    if row is None:
        return Provenance(
            memory_id=record.id, principal=first.changed_by, origin=record.origin, recorded_at=record.created_at
        )
    of_memory = select(memory_parents.c.parent_id).where(
        tx.own(memory_parents), memory_parents.c.memory_id == record.id
    )
    parents = (await tx.execute(of_memory.order_by(memory_parents.c.parent_id))).scalars()
    said = _Sealed()
    if row.source is not None:
        await tx.ring.unlock([row.source])
        said = _Sealed.model_validate_json(tx.ring.opener(*_SEALED)(record.id, _FIRST, row.source))
    return Provenance(
        memory_id=record.id,
        principal=row.principal,
        api_key=row.api_key,
        request_id=row.request_id,
        origin=Origin(row.origin),
        uri=said.uri,
        digest=said.digest,
        parents=list(parents),
        recorded_at=row.recorded_at,
    )


def is_one_of(column: ColumnElement[UUID], ids: Iterable[UUID]) -> ColumnElement[bool]:
    """Build the condition that an id is one of any number of ids: one parameter, however many they are."""
    return column == any_(literal(list(ids), ARRAY(Uuid())))


async def descendants(tx: Transaction, ids: Iterable[UUID]) -> set[UUID]:
    """Find all that was derived from these memories, and from that, with the memories themselves."""
    found = set(ids)
    new = set(found)
    while new:
        statement = select(memory_parents.c.memory_id).where(
            tx.own(memory_parents), is_one_of(memory_parents.c.parent_id, new)
        )
        new = set((await tx.execute(statement)).scalars()) - found
        found |= new
    return found


async def forget_provenance(tx: Transaction, ids: Sequence[UUID]) -> None:
    """Remove what is known of memories that are removed for good."""
    gone = or_(is_one_of(memory_parents.c.memory_id, ids), is_one_of(memory_parents.c.parent_id, ids))
    await tx.execute(delete(memory_parents).where(tx.own(memory_parents), gone))
    own = is_one_of(memory_provenance.c.memory_id, ids)
    await tx.execute(delete(memory_provenance).where(tx.own(memory_provenance), own))


async def check_caps(tx: Transaction, origins: Mapping[Origin, int], caps: Mapping[Origin, int]) -> None:
    """Raise :class:`QuotaExceeded` when the caller would add more memories of an origin than fit into an hour."""
    for origin, number in sorted(origins.items()):
        cap = caps.get(origin)
        if cap is None:
            continue
        writer = tx.caller.principal_id
        await tx.execute(
            select(func.pg_advisory_xact_lock(_CAPPING, func.hashtext(f"{tx.organization_id} {writer} {origin.value}")))
        )
        written = select(func.count()).where(
            tx.own(memory_provenance),
            memory_provenance.c.principal == writer,
            memory_provenance.c.origin == origin.value,
            memory_provenance.c.recorded_at > tx.now - _HOUR,
        )
        if (await tx.execute(written.select_from(memory_provenance))).scalar_one() + number > cap:
            raise QuotaExceeded(
                f"{writer} may add {cap} memories of the origin {origin.value} in an hour.",
                hint="Wait, or ask an administrator of the organization for a higher cap.",
            )
