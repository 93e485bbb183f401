"""A read replica: it takes reads as soon as it holds all that was committed before they were asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Final

import structlog

from agentmem.errors import ConfigurationError, DatabaseUnavailable
from agentmem.foundation.authorization.caller import Caller
from agentmem.foundation.database.connect import ExternalServer, check_conninfo
from agentmem.foundation.database.database import Begun, Database
from agentmem.foundation.database.failures import translated
from agentmem.foundation.database.pool import ConnectionPool
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.resilience.breaker import BreakerRules, BreakerState
from agentmem.foundation.resilience.guarded import Guard, Guarded
from agentmem.foundation.resilience.retry import RetryPolicy
from agentmem.kit.ids import OrganizationId
from agentmem.kit.tasks import hear

PATIENCE: Final = 0.05
"""Seconds a read waits for the replica to catch up; the primary takes it then."""
_PAUSE: Final = 0.002
_POSITION: Final = b"SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_flush_lsn()::text END"

REPLICA: Final = Guard(
    name="replica",
    what="The read replica",
    error=DatabaseUnavailable,
    seconds=1.0,
    # Nobody waits for a connection to it: the primary takes the search, and one attempt in a while finds out.
    breaker=BreakerRules(failures=1, open_seconds=5.0, successes=1),
    retry=RetryPolicy(attempts=1),
)


log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Replica:
    """Opens transactions that read on a replica, and on the primary while the replica is behind or does not answer.

    Each asks the primary how far its log reached: a read sees what any caller's finished write has written, whichever
    process it went through. One that no replica can serve costs the primary what it costs without a replica.
    """

    primary: Database
    pool: ConnectionPool
    guarded: Guarded
    patience: float = PATIENCE

    @classmethod
    def open(cls, primary: Database, conninfo: str, *, pool_size: int, guarded: Guarded) -> Replica:
        """Make a replica of a database; connects when first used.

        Raises :class:`ConfigurationError` for a malformed connection string.
        """
        check_conninfo(conninfo, "AGENTMEM_DATABASE_REPLICA_URL")
        pool = ConnectionPool(ExternalServer(conninfo=conninfo), pool_size, None)
        return cls(primary=primary, pool=pool, guarded=guarded)

    async def close(self) -> None:
        """Close every connection to the replica."""
        await self.pool.close()

    @asynccontextmanager
    async def transaction(self, caller: Caller, *, read_only: bool = False) -> AsyncIterator[Transaction]:
        """Open a transaction as :meth:`Database.transaction` does, where its reads may go."""
        async with AsyncExitStack() as stack:
            tx = await self._caught_up(stack, caller) if read_only else None
            if tx is None:
                tx = await stack.enter_async_context(self.primary.transaction(caller, read_only=read_only))
            yield tx

    async def _caught_up(self, stack: AsyncExitStack, caller: Caller) -> Transaction | None:
        """Begin on the replica once it holds what the primary holds now; nothing when that takes too long."""
        if self.guarded.state is BreakerState.OPEN:
            return None
        position = await self._position()
        if position is None:
            return None
        keys = await self.primary.keys(caller.organization_id)
        check = _bind_and_compare(caller.organization_id, position)
        until = monotonic() + self.patience
        while True:
            async with AsyncExitStack() as attempt:
                try:
                    begun = await self.guarded.call(partial(self._begin, attempt, check))
                except DatabaseUnavailable:  # the breaker tells of it
                    return None
                except ConfigurationError as error:
                    log.warning("replica_not_usable", reason=error.message)
                    return None
                if begun.value:
                    stack.push_async_exit(attempt.pop_all())
                    return self.primary.bound(begun, caller, keys)
                if begun.value is None:  # it follows nobody: waiting changes nothing
                    return None
            if monotonic() >= until:
                return None
            await asyncio.sleep(_PAUSE)

    async def _begin(self, attempt: AsyncExitStack, check: str) -> Begun:
        """Begin a transaction on the replica; when that is cancelled, it ends by itself.

        The driver takes ten seconds to let go of a server that hangs, and nobody is to wait for that.
        """
        entered = AsyncExitStack()
        connected = self.primary.connection(check, read_only=True, pool=self.pool)
        beginning = asyncio.create_task(entered.enter_async_context(connected))
        beginning.add_done_callback(hear)
        try:
            begun = await asyncio.shield(beginning)
        except asyncio.CancelledError:
            if not beginning.cancel():  # it has begun in this very moment
                await entered.aclose()
            raise
        attempt.push_async_exit(entered)
        return begun

    async def _position(self) -> str | None:
        """Ask the primary how far its log is on its disk, before which all lies that was acknowledged.

        One that is no primary any more does not know.
        """
        with translated():
            link, cursor = await self.primary.pool.begin(_POSITION)
            try:
                (position,) = await cursor.fetchone() or (None,)
            finally:
                await self.primary.pool.give_back(link)
        return None if position is None else str(position)


def _bind_and_compare(organization_id: OrganizationId, position: str) -> str:
    """Write the statement that binds a transaction and says whether the replica holds the log up to a position.

    It does not where it has become a primary itself: it may have lost what the other one has.
    """
    bound = f"set_config('agentmem.organization_id', '{organization_id!s}', true) IS NOT NULL"
    return f"SELECT CASE WHEN {bound} THEN pg_last_wal_replay_lsn() >= '{position}'::pg_lsn END"
