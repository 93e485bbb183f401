"""A pool of open connections, each with SQLAlchemy's view of it kept, so that taking one costs no set-up.

SQLAlchemy's own pool makes its objects anew at each checkout, which costs more than a small statement.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Final

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from agentmem.errors import DatabaseUnavailable
from agentmem.foundation.database.connect import Server, connect
from agentmem.foundation.database.failures import translated
from agentmem.foundation.resilience.deadline import within
from agentmem.foundation.resilience.guarded import Guarded

Driver = psycopg.AsyncConnection[TupleRow]
WAIT_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Link:
    """One open connection, as SQLAlchemy sees it and as the driver does."""

    connection: AsyncConnection
    driver: Driver


class ConnectionPool:
    """Up to ``size`` connections, opened when first needed, behind guards; the one used last is used next."""

    def __init__(self, server: Server, size: int, guarded: Guarded | None) -> None:
        """Make an empty pool; without ``guarded`` whoever asks it guards more than its connecting."""
        self._engine = create_async_engine(
            "postgresql+psycopg://", async_creator=partial(connect, server), poolclass=NullPool, hide_parameters=True
        )
        self._guarded = guarded
        self._slots = asyncio.Semaphore(size)
        self._idle: list[Link] = []

    async def begin(self, first: bytes) -> tuple[Link, psycopg.AsyncCursor[TupleRow]]:
        """Give a connection on which a first text has been run, and its result; the text changes nothing by itself.

        When a kept connection turns out to be dead, its server has gone, and the others with it: all are dropped, and a
        new one is opened. Raises :class:`DatabaseUnavailable` when all are busy for 30 seconds,
        or half of what the request has left; and at once while no connection can be made.
        """
        for new in (False, True):
            link = await self._take(new=new)
            try:
                return link, await psycopg.AsyncCursor(link.driver).execute(first)
            except psycopg.OperationalError:
                await self.give_back(link)
                if new:
                    raise
            except BaseException:
                await self.give_back(link)
                raise
        raise AssertionError("unreachable")

    async def _take(self, *, new: bool = False) -> Link:
        try:
            async with asyncio.timeout(within(WAIT_SECONDS)):
                await self._slots.acquire()
        except TimeoutError:
            raise DatabaseUnavailable(
                "All database connections of this process are busy.", hint="Retry, or raise AGENTMEM_POOL_SIZE."
            ) from None
        try:
            if new:
                await self._drop_idle()
            return self._idle.pop() if self._idle else await self._open()
        except BaseException:
            self._slots.release()
            raise

    async def give_back(self, link: Link) -> None:
        """Take a connection back; what is still open in its transaction is rolled back, and a dead one dropped."""
        try:
            if link.driver.info.transaction_status is not TransactionStatus.IDLE:
                await link.driver.rollback()
        except psycopg.Error:
            await link.driver.close()
        finally:
            try:
                if link.driver.info.transaction_status is TransactionStatus.IDLE:
                    self._idle.append(link)
                else:
                    await link.connection.invalidate()
            finally:
                # Whatever becomes of the connection, and whoever is cancelled meanwhile: its place is free.
                self._slots.release()

    async def close(self) -> None:
        """Close every connection."""
        while self._idle:
            await self._idle.pop().connection.close()
        await self._engine.dispose()

    async def _drop_idle(self) -> None:
        idle = self._idle.copy()
        self._idle.clear()
        for link in idle:
            await link.connection.invalidate()

    async def _open(self) -> Link:
        return await (self._connect() if self._guarded is None else self._guarded.call(self._connect))

    async def _connect(self) -> Link:
        with translated():
            connection = await self._engine.connect()
        driver = (await connection.get_raw_connection()).driver_connection
        if not isinstance(driver, psycopg.AsyncConnection):
            raise TypeError(f"the engine's driver is {type(driver).__name__}, not psycopg")
        return Link(connection, driver)
