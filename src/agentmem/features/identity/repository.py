"""All SQL about API keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, and_, any_, func, insert, literal, or_, select, update
from sqlalchemy.exc import IntegrityError

from agentmem.errors import Conflict, InvalidCursor, NotFound
from agentmem.features.identity.model import LONGEST_CHAIN, SEALED_MAC, SEALED_MAC_VERSION, StoredKey, key_number
from agentmem.features.identity.tables import api_key_directory, api_keys
from agentmem.foundation.authorization.caller import Binding
from agentmem.foundation.database.system import SystemTransaction
from agentmem.foundation.database.transaction import Transaction
from agentmem.kit.ids import OrganizationId
from agentmem.kit.networks import parse_network
from agentmem.kit.paging import CursorValue
from agentmem.schemas.access import Permission
from agentmem.schemas.keys import ApiKey, KeyEnvironment
from agentmem.schemas.memories import Scope

KeyRow = Row[Any]  # SQLAlchemy types a row by its statement; the mappers below check it by use
_FOREIGN_KEY_VIOLATION: Final = "23503"
PERMISSIONS = {item.value: item for item in Permission}
SHOWN = tuple(
    column for column in api_keys.c if column.name not in {"secret_mac", "sealed_mac", "mac_version", "made_with"}
)
CHECKED = tuple(
    api_keys.c[name]
    for name in (
        *("organization_id", "key_id", "member_id", "created_by", "parent_key_id", "secret_mac", "scopes"),
        "sealed_mac",
        *("bound_user_id", "bound_agent_id", "bound_run_id", "bound_app_id", "networks"),
        *("requests_per_minute", "expires_at", "revoked_at"),
    )
)


async def insert_key(tx: Transaction, row: Mapping[str, object]) -> None:
    """Write a key and whose it is; raises :class:`NotFound` unless its member and parent are there."""
    entry = {"key_id": row["key_id"], "organization_id": tx.organization_id}
    try:
        await tx.execute(insert(api_key_directory), entry)
        await tx.execute(insert(api_keys), {"organization_id": tx.organization_id, **row})
    except IntegrityError as error:
        if getattr(error.orig, "sqlstate", None) == _FOREIGN_KEY_VIOLATION:
            raise NotFound(f"There is no member {row['member_id']}.") from None
        raise Conflict("The random id of the key is taken.", hint="Try again.") from None


async def fetch_key(tx: Transaction, key_id: str, *, lock: bool = False) -> ApiKey:
    """Read a key without its secret, or raise :class:`NotFound`."""
    statement = select(*SHOWN).where(tx.own(api_keys), api_keys.c.key_id == key_id)
    row = (await tx.execute(statement.with_for_update() if lock else statement)).first()
    if row is None:
        raise not_found(key_id)
    return to_key(row)


async def fetch_page(tx: Transaction, after: Sequence[CursorValue] | None, limit: int) -> list[ApiKey]:
    """Read up to ``limit`` keys, the newest first, after the sort values of the last one seen."""
    statement = select(*SHOWN).where(tx.own(api_keys))
    if after is not None:
        moment, last = _position(after)
        made, identity = api_keys.c.created_at, api_keys.c.key_id
        statement = statement.where(or_(made < moment, and_(made == moment, identity < last)))
    ordered = statement.order_by(api_keys.c.created_at.desc(), api_keys.c.key_id.desc())
    return [to_key(row) for row in await tx.execute(ordered.limit(limit))]


def sort_values(key: ApiKey) -> list[CursorValue]:
    """Give what a cursor keeps of the last key of a page."""
    return [key.created_at.isoformat(), key.id]


async def any_key(tx: Transaction) -> bool:
    """Tell whether the organization has ever had a key; holds a lock on the answer until the transaction ends."""
    await tx.execute(select(func.pg_advisory_xact_lock(tx.organization_id.int % 2**63)))
    return (await tx.execute(select(api_keys.c.key_id).where(tx.own(api_keys)).limit(1))).first() is not None


async def change_key(tx: Transaction, key_id: str, changes: Mapping[str, object]) -> ApiKey:
    """Change columns of a key, and give it as it then stands."""
    statement = (
        update(api_keys)
        .where(tx.own(api_keys), api_keys.c.key_id == key_id)
        .values(**changes, version=api_keys.c.version + 1)
        .returning(*SHOWN)
    )
    row = (await tx.execute(statement)).first()
    if row is None:
        raise not_found(key_id)
    return to_key(row)


async def revoke_keys(tx: Transaction, key_ids: Sequence[str], reason: str) -> list[str]:
    """Revoke those of the keys that are not revoked yet, and name them."""
    statement = (
        update(api_keys)
        .where(tx.own(api_keys), api_keys.c.key_id.in_(key_ids), api_keys.c.revoked_at.is_(None))
        .values(revoked_at=tx.now, revoke_reason=reason, version=api_keys.c.version + 1)
        .returning(api_keys.c.key_id)
    )
    return [str(row.key_id) for row in await tx.execute(statement)]


async def descendants(tx: Transaction, key_id: str) -> list[str]:
    """Name a key and all that stands below it or was made with it, directly or not, its successors too."""
    of_key = select(api_keys.c.key_id).where(tx.own(api_keys), api_keys.c.key_id == key_id)
    found = of_key.cte("found", recursive=True)
    made = or_(api_keys.c.parent_key_id == found.c.key_id, api_keys.c.made_with == found.c.key_id)
    family = found.union(select(api_keys.c.key_id).select_from(api_keys.join(found, made)).where(tx.own(api_keys)))
    return [str(row.key_id) for row in await tx.execute(select(family.c.key_id))]


async def find_organization(tx: SystemTransaction, key_id: str) -> OrganizationId | None:
    """Look up whose a key is; nobody's if it is unknown."""
    statement = select(api_key_directory.c.organization_id).where(api_key_directory.c.key_id == key_id)
    row = (await tx.execute(statement)).first()
    return None if row is None else OrganizationId(UUID(str(row.organization_id)))


async def fetch_chain(tx: Transaction | SystemTransaction, key_id: str) -> list[StoredKey]:
    """Read a key and the keys above it, in this order."""
    first = select(*CHECKED, literal(1).label("depth")).where(tx.own(api_keys), api_keys.c.key_id == key_id)
    chain = first.cte("chain", recursive=True)
    above = (
        select(*CHECKED, chain.c.depth + 1)
        .select_from(api_keys.join(chain, api_keys.c.key_id == chain.c.parent_key_id))
        .where(tx.own(api_keys), chain.c.depth < LONGEST_CHAIN)
    )
    whole = chain.union_all(above)
    rows = await tx.execute(select(whole).order_by(whole.c.depth))
    return [to_stored(row) for row in rows]


async def fetch_unused(tx: Transaction, since: datetime, owners: Sequence[UUID], limit: int) -> list[str]:
    """Name keys that work and were last used, or made, before a moment, but for the last key by which owners rule."""
    used = func.coalesce(api_keys.c.last_used_at, api_keys.c.created_at)
    works = and_(tx.own(api_keys), api_keys.c.revoked_at.is_(None), api_keys.c.expires_at > tx.now)
    ruling = (
        select(api_keys.c.key_id)
        .where(
            works,
            api_keys.c.member_id.in_(owners),
            api_keys.c.created_by.in_(owners),
            literal(Permission.KEY_WRITE.value) == any_(api_keys.c.scopes),
        )
        .order_by(used.desc(), api_keys.c.key_id)
        .limit(1)
    )
    statement = (
        select(api_keys.c.key_id)
        .where(works, used < since, api_keys.c.key_id.not_in(ruling))
        .order_by(api_keys.c.key_id)
        .limit(limit)
    )
    return [str(row.key_id) for row in await tx.execute(statement)]


def to_key(row: KeyRow) -> ApiKey:
    """Give a row as a view; scopes that this version does not know are left out."""
    return ApiKey(
        id=row.key_id,
        name=row.name,
        member_id=row.member_id,
        created_by=row.created_by,
        parent_key_id=row.parent_key_id,
        environment=KeyEnvironment(row.environment),
        last_four=row.last_four,
        scopes=sorted(_known(row.scopes)),
        binding=Scope(
            user_id=row.bound_user_id, agent_id=row.bound_agent_id, run_id=row.bound_run_id, app_id=row.bound_app_id
        ),
        networks=row.networks,
        requests_per_minute=row.requests_per_minute,
        created_at=row.created_at,
        expires_at=row.expires_at,
        rotated_from=row.rotated_from,
        revoked_at=row.revoked_at,
        revoke_reason=row.revoke_reason,
        last_used_at=row.last_used_at,
        version=row.version,
    )


def to_stored(row: KeyRow) -> StoredKey:
    """Give a row as what authentication needs of it."""
    return StoredKey(
        organization_id=OrganizationId(row.organization_id),
        key_id=row.key_id,
        member_id=row.member_id,
        created_by=row.created_by,
        parent_key_id=row.parent_key_id,
        secret_mac=bytes(row.secret_mac),
        sealed_mac=None if row.sealed_mac is None else bytes(row.sealed_mac),
        scopes=_known(row.scopes),
        binding=Binding(
            user_id=row.bound_user_id, agent_id=row.bound_agent_id, run_id=row.bound_run_id, app_id=row.bound_app_id
        ),
        networks=tuple(map(parse_network, row.networks)),
        requests_per_minute=row.requests_per_minute,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )


def not_found(key_id: str) -> NotFound:
    """Make the error for a key that is not there, or is somebody else's."""
    return NotFound(f"There is no API key {key_id!r}.")


def _known(scopes: Sequence[str]) -> frozenset[Permission]:
    return frozenset(PERMISSIONS[name] for name in scopes if name in PERMISSIONS)


def _position(after: Sequence[CursorValue]) -> tuple[datetime, str]:
    try:
        return datetime.fromisoformat(str(after[0])), str(after[1])
    except ValueError:
        raise InvalidCursor("The cursor is damaged.", hint="Start again without a cursor.") from None


async def seal_macs(tx: Transaction, limit: int) -> int:
    """Seal the MACs of the next keys that have theirs in clear, and say how many."""
    clear = select(api_keys.c.key_id, api_keys.c.secret_mac).where(tx.own(api_keys), api_keys.c.sealed_mac.is_(None))
    rows = (await tx.execute(clear.order_by(api_keys.c.key_id).limit(limit).with_for_update())).all()
    seal = tx.keys.keyring.sealer(*SEALED_MAC)
    for row in rows:
        sealed = seal(key_number(row.key_id), 1, bytes(row.secret_mac))
        new = {"sealed_mac": sealed, "secret_mac": b"", "mac_version": SEALED_MAC_VERSION}
        await tx.execute(update(api_keys).where(tx.own(api_keys), api_keys.c.key_id == row.key_id).values(new))
    return len(rows)
