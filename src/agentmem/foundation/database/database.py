"""The database: opens transactions that are bound to one organization, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy import select

from agentmem.errors import NotFound
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.database.connect import DATABASE, Server
from agentmem.foundation.database.failures import translated
from agentmem.foundation.database.fences import raise_fence, require_fence
from agentmem.foundation.database.known_keys import KnownKeys
from agentmem.foundation.database.pool import ConnectionPool, Link
from agentmem.foundation.database.subjects import SubjectKeys, SubjectRing
from agentmem.foundation.database.system import ACT_AS_SYSTEM, SystemPurpose, SystemTransaction
from agentmem.foundation.database.tables import encryption_keys
from agentmem.foundation.database.transaction import (
    OWN_ORGANIZATION,
    TenantFilter,
    Transaction,
    by_organization,
    enter,
    set_organization,
)
from agentmem.foundation.database.wrapped_keys import to_wrapped_key
from agentmem.foundation.encryption.keyring import OrganizationKeys, WrappedKey, unwrap_organization_keys
from agentmem.foundation.encryption.providers.port import KeyProvider
from agentmem.foundation.encryption.seal import HEADER_BYTES
from agentmem.foundation.resilience.guarded import Guarded
from agentmem.kit.clock import utc_now
from agentmem.kit.ids import OrganizationId

KEY_CONNECTIONS: Final = 4
_ROTATIONS: Final = 8
"""How many rotations of its data key a transaction may meet, one after the other, while it begins."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun:
    """A transaction that was begun: its connection, the value of its first statement, and its moment in time."""

    link: Link
    value: object
    now: datetime


@dataclass(frozen=True, kw_only=True)
class Database:
    """A pool of connections and the keys of the organizations seen; holds no state that another process lacks."""

    pool: ConnectionPool
    key_pool: ConnectionPool
    """To the database of the subjects' keys: connections of its own, for who waits there holds one of the others."""
    provider: KeyProvider
    ahead: timedelta = timedelta(0)
    """How far in the future this process works, for tests."""
    tenant_filter: TenantFilter = by_organization
    snapshots: bool = False
    """Whether all statements of a transaction see the same moment."""
    _keys: KnownKeys = field(default_factory=KnownKeys)

    @classmethod
    def open(
        cls,
        server: Server,
        provider: KeyProvider,
        *,
        pool_size: int,
        guarded: Guarded | None = None,
        key_pool: ConnectionPool | None = None,
        tenant_filter: TenantFilter = by_organization,
    ) -> Database:
        """Make a database over a server; connects when first used, behind guards of its own if none are given.

        Without a ``key_pool`` the keys of subjects are on the same server.
        """
        guarded = guarded or Guarded(DATABASE)
        key_pool = key_pool or ConnectionPool(server, KEY_CONNECTIONS, guarded)
        pool = ConnectionPool(server, pool_size, guarded)
        return cls(pool=pool, key_pool=key_pool, provider=provider, tenant_filter=tenant_filter)

    def clock(self) -> datetime:
        """Give the present moment by this machine's clock; a transaction has the server's, which all share."""
        return utc_now() + self.ahead

    async def close(self) -> None:
        """Close every connection."""
        await self.pool.close()
        await self.key_pool.close()

    @asynccontextmanager
    async def transaction(self, caller: Caller, *, read_only: bool = False) -> AsyncIterator[Transaction]:
        """Open a transaction bound to the caller's organization; it commits when the block ends, unless it raises.

        One that writes holds the organization, which is not erased meanwhile; raises :class:`NotFound` if it was.
        """
        for left in reversed(range(_ROTATIONS)):
            keys = await self.keys(caller.organization_id)
            bind = set_organization(caller.organization_id) if read_only else enter(keys)
            async with self.connection(bind, read_only=read_only) as begun:
                if begun.value is False:
                    # The data key was rotated, and its successor seals from now on; or there is none any more.
                    self.forget_keys([caller.organization_id])
                    if not left:
                        raise NotFound(f"The organization {caller.organization_id} was erased.")
                    continue
                tx = self.bound(begun, caller, keys)
                if caller.fence is not None and not read_only:
                    await require_fence(tx, caller.fence)
                yield tx
                return

    async def fenced(self, caller: Caller, work: str) -> Caller:
        """Begin a work in the caller's organization: give the caller who writes until somebody else begins it.

        Whoever began it before is refused with :class:`LockLost` when it next writes.
        """
        async with self.transaction(replace(caller, fence=None)) as tx:
            return replace(caller, fence=await raise_fence(tx, work))

    @asynccontextmanager
    async def system(self, purpose: SystemPurpose, *, read_only: bool = False) -> AsyncIterator[SystemTransaction]:
        """Open a transaction of the system itself, bound to no organization; it commits as any other does."""
        async with self.connection(ACT_AS_SYSTEM, read_only=read_only) as begun:
            yield SystemTransaction(
                connection=begun.link.connection,
                driver=begun.link.driver,
                now=begun.now,
                purpose=purpose,
                tenant_filter=self.tenant_filter,
            )

    @property
    def subjects(self) -> SubjectKeys:
        """The keys of subjects."""
        return SubjectKeys(pool=self.key_pool, known=self._keys)

    async def keys(self, organization_id: OrganizationId) -> OrganizationKeys:
        """Give the organization's keys, unwrapped once; raises :class:`NotFound` if there is no such organization."""
        return await self._keys.find(organization_id, self._load_keys)

    async def keys_of(self, organization_id: OrganizationId, blobs: Iterable[bytes | None]) -> OrganizationKeys:
        """Give the organization's keys, read again if one sealed these blobs that this process does not know."""
        keys = await self.keys(organization_id)
        if {blob[:HEADER_BYTES] for blob in blobs if blob} - keys.keyring.by_header().keys():
            self.forget_keys([organization_id])
            keys = await self.keys(organization_id)
        return keys

    def known(self) -> list[OrganizationId]:
        """Name the organizations whose unwrapped keys are at hand."""
        return self._keys.names()

    def forget_keys(self, organization_ids: Iterable[OrganizationId]) -> None:
        """Drop the unwrapped keys of organizations that are no more."""
        for organization_id in organization_ids:
            self._keys.drop(organization_id)

    @asynccontextmanager
    async def registration(self, caller: Caller, wrapped: list[WrappedKey]) -> AsyncIterator[Transaction]:
        """Open the transaction that registers a new organization: its first rows are its keys."""
        keys = await unwrap_organization_keys(self.provider, caller.organization_id, wrapped)
        async with self.connection(set_organization(caller.organization_id), read_only=False) as begun:
            yield self.bound(begun, caller, keys)
        self._keys.put(keys)

    def bound(self, begun: Begun, caller: Caller, keys: OrganizationKeys) -> Transaction:
        """Give the transaction that was begun on a connection and bound to the caller's organization."""
        return Transaction(
            connection=begun.link.connection,
            driver=begun.link.driver,
            caller=caller,
            keys=keys,
            ring=SubjectRing(keys, self.subjects, partial(self._renew_keys, begun.link, caller.organization_id)),
            now=begun.now,
            tenant_filter=self.tenant_filter,
        )

    @asynccontextmanager
    async def connection(
        self, first: str, *, read_only: bool, pool: ConnectionPool | None = None
    ) -> AsyncIterator[Begun]:
        """Begin a transaction with a first statement, a ``SELECT`` of one value.

        ``pool`` is that of a replica, where it is not the database's own.
        """
        pool = pool or self.pool
        # One round trip: two statements in one text cannot have parameters.
        level = "REPEATABLE READ" if self.snapshots else "READ COMMITTED"
        mode = f"ISOLATION LEVEL {level} {'READ ONLY' if read_only else 'READ WRITE'}"
        with translated():
            link, cursor = await pool.begin(f"BEGIN {mode}; {first}, now()".encode())
            try:
                cursor.nextset()
                value, now = await cursor.fetchone() or (None, None)
                if not isinstance(now, datetime):
                    raise TypeError("the time of a transaction is no moment")
                yield Begun(link=link, value=value, now=now + self.ahead)
                await link.driver.commit()
            finally:
                await pool.give_back(link)

    async def _renew_keys(self, link: Link, organization_id: OrganizationId) -> OrganizationKeys:
        """Read the keys again over the connection of a transaction that has met one which this process does not know.

        Not over another: all of them may be held by those who wait here.
        """
        wrapped = await self._read_keys(link, organization_id)
        keys = await unwrap_organization_keys(self.provider, organization_id, wrapped)
        self._keys.put(keys)
        return keys

    async def _read_keys(self, link: Link, organization_id: OrganizationId) -> list[WrappedKey]:
        statement = select(encryption_keys).where(self.tenant_filter(encryption_keys))
        rows = await link.connection.execute(statement, {OWN_ORGANIZATION: organization_id})
        # Whatever the statement lets through: another organization's keys are no keys here.
        return [to_wrapped_key(row) for row in rows if row.organization_id == organization_id]

    async def _load_keys(self, organization_id: OrganizationId) -> OrganizationKeys:
        async with self.connection(set_organization(organization_id), read_only=True) as begun:
            wrapped = await self._read_keys(begun.link, organization_id)
        if not wrapped:
            raise NotFound(f"There is no organization {organization_id}.")
        return await unwrap_organization_keys(self.provider, organization_id, wrapped)
