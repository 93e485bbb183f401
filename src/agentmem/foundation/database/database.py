"""The database: opens transactions that are bound to one organization, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import psycopg
from psycopg.rows import TupleRow
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from agentmem.errors import NotFound
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.database.connect import Server, connect
from agentmem.foundation.database.failures import translated
from agentmem.foundation.database.tables import encryption_keys
from agentmem.foundation.database.transaction import OWN_ORGANIZATION, TenantFilter, Transaction, by_organization
from agentmem.foundation.encryption.keyring import OrganizationKeys, WrappedKey, unwrap_organization_keys
from agentmem.foundation.encryption.providers.port import KeyProvider, KeyPurpose
from agentmem.kit.clock import Clock, utc_now
from agentmem.kit.ids import KeyId, OrganizationId

Driver = psycopg.AsyncConnection[TupleRow]


@dataclass(frozen=True, kw_only=True)
class Database:
    """A pool of connections and the keys of the organizations seen; holds no state that another process lacks."""

    engine: AsyncEngine
    provider: KeyProvider
    clock: Clock = utc_now
    tenant_filter: TenantFilter = by_organization
    _keys: dict[OrganizationId, OrganizationKeys]

    @classmethod
    def open(
        cls,
        server: Server,
        provider: KeyProvider,
        *,
        pool_size: int,
        clock: Clock = utc_now,
        tenant_filter: TenantFilter = by_organization,
    ) -> Database:
        """Make a database over a server; connects when first used."""
        engine = create_async_engine(
            "postgresql+psycopg://",
            async_creator=partial(connect, server),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=30,
            hide_parameters=True,
        )
        return cls(engine=engine, provider=provider, clock=clock, tenant_filter=tenant_filter, _keys={})

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()

    @asynccontextmanager
    async def transaction(self, caller: Caller, *, read_only: bool = False) -> AsyncIterator[Transaction]:
        """Open a transaction bound to the caller's organization; it commits when the block ends, unless it raises."""
        keys = self._keys.get(caller.organization_id) or await self._load_keys(caller.organization_id)
        async with self._connection(caller.organization_id, read_only=read_only) as (connection, driver):
            yield self._bound(connection, driver, caller, keys)

    @asynccontextmanager
    async def registration(self, caller: Caller, wrapped: list[WrappedKey]) -> AsyncIterator[Transaction]:
        """Open the transaction that registers a new organization: its first rows are its keys."""
        keys = await unwrap_organization_keys(self.provider, caller.organization_id, wrapped)
        async with self._connection(caller.organization_id, read_only=False) as (connection, driver):
            yield self._bound(connection, driver, caller, keys)
        self._keys[caller.organization_id] = keys

    def _bound(
        self, connection: AsyncConnection, driver: Driver, caller: Caller, keys: OrganizationKeys
    ) -> Transaction:
        return Transaction(
            connection=connection,
            driver=driver,
            caller=caller,
            keys=keys,
            now=self.clock(),
            tenant_filter=self.tenant_filter,
        )

    @asynccontextmanager
    async def _connection(
        self, organization_id: OrganizationId, *, read_only: bool
    ) -> AsyncIterator[tuple[AsyncConnection, Driver]]:
        with translated():
            connection, driver = await self._begin(organization_id, read_only=read_only)
            try:
                yield connection, driver
                await driver.commit()
            finally:
                await _give_back(connection, driver)

    async def _begin(self, organization_id: OrganizationId, *, read_only: bool) -> tuple[AsyncConnection, Driver]:
        # One round trip: two statements in one text cannot have parameters, and a UUID cannot be anything but a UUID.
        mode = "READ ONLY" if read_only else "READ WRITE"
        begin = f"BEGIN {mode}; SELECT set_config('agentmem.organization_id', '{organization_id!s}', true)"
        for attempt in (1, 2):
            connection = await self.engine.connect()
            driver = await _driver_of(connection)
            try:
                await psycopg.AsyncCursor(driver).execute(begin.encode())
            except psycopg.OperationalError:
                await _give_back(connection, driver)
                # A pooled connection died with its server: nothing was done yet, so one new one is tried.
                if attempt == 2:
                    raise
            else:
                return connection, driver
        raise AssertionError("unreachable")

    async def _load_keys(self, organization_id: OrganizationId) -> OrganizationKeys:
        async with self._connection(organization_id, read_only=True) as (connection, _):
            rows = await connection.execute(
                select(encryption_keys).where(self.tenant_filter(encryption_keys)),
                {OWN_ORGANIZATION: organization_id},
            )
            wrapped = [
                WrappedKey(
                    organization_id=organization_id,
                    key_id=KeyId(row.key_id),
                    purpose=KeyPurpose(row.purpose),
                    subject=row.subject,
                    wrapped=row.wrapped,
                    provider=row.provider,
                    provider_key_id=row.provider_key_id,
                    created_at=row.created_at,
                    retired_at=row.retired_at,
                )
                for row in rows
            ]
        if not wrapped:
            raise NotFound(f"There is no organization {organization_id}.")
        keys = await unwrap_organization_keys(self.provider, organization_id, wrapped)
        self._keys[organization_id] = keys
        return keys


async def _driver_of(connection: AsyncConnection) -> Driver:
    driver = (await connection.get_raw_connection()).driver_connection
    if not isinstance(driver, psycopg.AsyncConnection):
        raise TypeError(f"the engine's driver is {type(driver).__name__}, not psycopg")
    return driver


async def _give_back(connection: AsyncConnection, driver: Driver) -> None:
    """Return a connection to the pool, or drop it when its server is gone."""
    if driver.closed:
        await connection.invalidate()
    await connection.close()
