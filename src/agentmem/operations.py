"""The gate: a service declares an operation and receives a transaction bound to its caller.

``@operation`` turns ``(self, tx, ...)`` into ``(self, caller, ...)``: it checks the permission, opens the transaction,
runs the body, writes the audit entry, and commits all of it together or none. ``@system_operation`` is for the few that
run before there is a caller: it turns ``(self, tx, ...)`` into ``(self, ...)``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from agentmem.errors import AgentMemError, PermissionDenied
from agentmem.foundation.authorization.caller import Caller, Permission
from agentmem.foundation.database.database import Database
from agentmem.foundation.database.system import SystemPurpose, SystemTransaction
from agentmem.foundation.database.transaction import Transaction
from agentmem.foundation.ledger.audit import Outcome, origin_of, write_audit_entry


class Transactions(Protocol):
    """Where an operation's transaction is opened: the database, or a replica that takes its reads."""

    def transaction(self, caller: Caller, *, read_only: bool = False) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction bound to the caller's organization."""


class Service(Protocol):
    """Anything whose methods are operations."""

    @property
    def database(self) -> Transactions:
        """Where the gate opens transactions."""


class SystemService(Protocol):
    """Anything whose methods are operations of the system."""

    @property
    def database(self) -> Database:
        """The database that the gate opens transactions on."""


S = TypeVar("S", bound=Service)
T = TypeVar("T", bound=SystemService)
P = ParamSpec("P")
R = TypeVar("R")
Body = Callable[Concatenate[S, Transaction, P], Awaitable[R]]
Gated = Callable[Concatenate[S, Caller, P], Coroutine[Any, Any, R]]
SystemBody = Callable[Concatenate[T, SystemTransaction, P], Awaitable[R]]
SystemGated = Callable[Concatenate[T, P], Coroutine[Any, Any, R]]


def operation(
    permission: Permission, *, audit: str | None = None, read_only: bool = False
) -> Callable[[Body[S, P, R]], Gated[S, P, R]]:
    """Declare an operation: the permission it needs and, when it changes something, the name of its audit entry.

    A caller whose call takes long is authenticated again before each operation. One without the permission never opens
    the operation's transaction. Denied and failed calls of audited
    operations leave an entry too, in a transaction of their own.
    """

    def declare(body: Body[S, P, R]) -> Gated[S, P, R]:
        async def gated(service: S, caller: Caller, /, *args: P.args, **kwargs: P.kwargs) -> R:
            caller = await caller.now()
            try:
                caller.require(permission)
                async with service.database.transaction(caller, read_only=read_only) as tx:
                    result = await body(service, tx, *args, **kwargs)
                    if audit is not None:
                        await write_audit_entry(tx, audit, Outcome.DONE, {**tx.noted, **origin_of(caller)})
                    return result
            except AgentMemError as error:
                if audit is not None and not error.retryable:
                    outcome = Outcome.DENIED if isinstance(error, PermissionDenied) else Outcome.FAILED
                    # Whoever was fenced off writes nothing more but that.
                    async with service.database.transaction(replace(caller, fence=None)) as tx:
                        await write_audit_entry(tx, audit, outcome, {"code": error.code, **origin_of(caller)})
                raise

        gated.__dict__["operation"] = (permission, audit)
        return cast("Gated[S, P, R]", wraps(body)(gated))

    return declare


def system_operation(
    purpose: SystemPurpose, *, read_only: bool = False
) -> Callable[[SystemBody[T, P, R]], SystemGated[T, P, R]]:
    """Declare an operation that runs before there is a caller, or without one."""

    def declare(body: SystemBody[T, P, R]) -> SystemGated[T, P, R]:
        async def gated(service: T, /, *args: P.args, **kwargs: P.kwargs) -> R:
            async with service.database.system(purpose, read_only=read_only) as tx:
                return await body(service, tx, *args, **kwargs)

        gated.__dict__["system_operation"] = purpose
        return cast("SystemGated[T, P, R]", wraps(body)(gated))

    return declare
